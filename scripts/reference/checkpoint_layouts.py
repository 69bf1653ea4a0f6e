"""Writes small PyTorch checkpoints for tests/networks/checkpoint_layouts.rs: tests/data/checkpoints/*.pth.

All hold the same network of two layers, with names as in torchvision's AlexNet, in the layouts of usual training
programs; value i of a tensor is i / 8, so float16 and bfloat16 are exact.

    python scripts/reference/checkpoint_layouts.py
"""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "checkpoints"
SHAPES = {"features.0.weight": (2, 3, 2, 2), "features.0.bias": (2,), "classifier.1.weight": (3, 4)}


def values(shape: tuple[int, ...]) -> Tensor:
    return (torch.arange(np.prod(shape)) / 8).reshape(shape)


def state(prefix: str = "") -> OrderedDict[str, Tensor]:
    return OrderedDict((prefix + name, values(shape)) for name, shape in SHAPES.items())


def network() -> nn.Module:
    class AlexNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 2, 2))
            self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(4, 3, bias=False))

    net = AlexNet()
    net.load_state_dict(state())
    return net


def optimizer_state() -> dict[str, Any]:
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def attacker(network: str) -> dict[str, Tensor]:
    """The state dict of an AttackerModel (MadryLab's `robustness`) under DataParallel; both networks are one."""
    tensors = state()
    ones = torch.ones(3, 1, 1)
    wrapped = {"module.normalizer.new_mean": ones, "module.normalizer.new_std": ones}
    wrapped |= {f"module.{network}{name}": tensor for name, tensor in tensors.items()}
    wrapped |= {f"module.attacker.normalize.{part}": ones for part in ("new_mean", "new_std")}
    return wrapped | {f"module.attacker.model.{name}": tensor for name, tensor in tensors.items()}


def strided() -> dict[str, Tensor]:
    """Channels-last weights, a bias that is part of a larger tensor, a transposed matrix."""
    features, bias, matrix = state().values()
    column = torch.full((5, 7), -1.0)
    column[1:3, 2] = bias
    transposed = matrix.t().contiguous().t()
    assert not transposed.is_contiguous()
    strided = [features.contiguous(memory_format=torch.channels_last), column[1:3, 2], transposed]
    return dict(zip(SHAPES, strided, strict=True))


def layouts() -> dict[str, Any]:
    features, bias, matrix = state().values()
    model = network()
    model.features = nn.DataParallel(model.features)
    training = {"epoch": 4, "optimizer": optimizer_state(), "args": argparse.Namespace(arch="alexnet", lr=0.1)}
    lightning = state("net.") | {"criterion.weight": torch.ones(3)}
    score = {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.25), "best_k_models": {}}}
    history = defaultdict(list, loss=[np.float64(0.5), 0.25], rng=[torch.get_rng_state()[:8].clone()])
    dtypes = {"features.0.weight": features.half(), "features.0.bias": bias.bfloat16()}
    dtypes |= {"classifier.1.weight": matrix.double(), "features.1.num_batches_tracked": torch.tensor(7)}
    dtypes |= {"mask": torch.tensor([True]), "phase": torch.ones(2, dtype=torch.complex64)}
    return {
        "plain": state(),
        "robustness": {"model": attacker("model."), **training, "schedule": None, "nat_prec1": torch.tensor(0.5)},
        "attacker_only": {"model": attacker("attacker.model."), "adv_prec1": torch.tensor(0.5), **training},
        "imagenet": {"state_dict": state("module."), "best_acc1": torch.tensor(56.5), "arch": "alexnet", **training},
        "compiled": state("_orig_mod."),
        "compiled_in_parallel": {"module": state("module._orig_mod."), "ema_decay": torch.tensor([0.5, 0.75])},
        "parallel_part": model.state_dict(),
        "model_state_dict": {"model_state_dict": state(), "loss": torch.tensor(0.5), "history": history, **training},
        "strided": strided(),
        "lightning": {"state_dict": lightning, "callbacks": score, "hyper_parameters": {"depth": 2}, "loops": {}},
        "backbone": {"network": state("backbone.")},
        "nested": {"checkpoint": {"trainer": {"net": state("model.")}, "metrics": {"accuracy": torch.tensor(0.5)}}},
        "other_key": {"weights_of_my_network": state(), "mean": torch.tensor([0.5, 0.25, 0.125]), **training},
        "beside_statistics": state() | {"statistics": {"mean": torch.zeros(3)}},
        "dtypes": dtypes,
        "parameters": network().state_dict(keep_vars=True),
        "two_networks": {"generator": state(), "discriminator": state()},
        "whole_model": nn.Sequential(nn.Conv2d(3, 2, 2)),
        "expanded": {"weight": torch.zeros(1).expand(1 << 15, 1 << 15)},
    }


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, checkpoint in layouts().items():
        torch.save(checkpoint, OUT / f"{name}.pth")
    torch.save({"state_dict": state("module.")}, OUT / "protocol4.pth", pickle_protocol=4)


if __name__ == "__main__":
    main()
