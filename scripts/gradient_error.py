"""Measures the relative error of whole networks' gradients in float32: compiled, layer by layer, and in PyTorch.

    cargo build --release --example gradient_error
    python scripts/gradient_error.py [--seeds 3]

The reference is PyTorch in float64. A ReLU either passes a gradient or not. Some of the millions of pre-activations
are so close to zero that rounding decides, and each of them changes the gradient, which limits how closely any two
float32 programs agree. The table therefore also has PyTorch's error in float32 and the number of ReLU gates that
differ between float32 and float64. Needs torch and torchvision.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision.models as models
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "target" / "release" / "examples" / "gradient_error"
STAGES = {
    "alexnet": {"conv1": "features.1", "conv3": "features.7", "conv5": "features.11"},
    "vgg19": {"conv1_2": "features.3", "conv3_4": "features.17", "conv5_4": "features.35"},
    "resnet50": {"conv1": "relu", "layer2": "layer2", "layer4": "layer4"},
}
MEAN, DEVIATION = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def network(name: str, seed: int) -> nn.Module:
    """Initializes a network with He's weights and with batch normalization that keeps activations near 1."""
    torch.manual_seed(seed)
    net = getattr(models, name)(weights=None)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.0)
            nn.init.normal_(layer.bias, 0.0, 0.1)
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    net.train()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        net(torch.randn(4, 3, 224, 224))
    return net.eval().requires_grad_(False)


def stages(net: nn.Module, name: str, x: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Returns the activations at the stages and the gates of every ReLU."""
    found: dict[str, Tensor] = {}
    gates: list[Tensor] = []
    hooks = []
    for stage, module in STAGES[name].items():
        # ResNet's blocks use a ReLU more than once, its stem only once.
        hooks.append(
            net.get_submodule(module).register_forward_hook(lambda _m, _i, out, s=stage: found.setdefault(s, out))
        )
    hooks += [
        module.register_forward_hook(lambda _m, i, _o: gates.append(i[0].detach() > 0))
        for module in net.modules()
        if isinstance(module, nn.ReLU)
    ]
    mean, deviation = (torch.tensor(v, dtype=x.dtype)[:, None, None] for v in (MEAN, DEVIATION))
    net((x - mean) / deviation)
    for hook in hooks:
        hook.remove()
    return found, gates


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="number of random networks per architecture")
    seeds = parser.parse_args().seeds
    if not PROGRAM.exists():
        sys.exit("error: build the program first: cargo build --release --example gradient_error")
    print(
        "| stage | seed | gates that differ in PyTorch's float32 | PyTorch | layer by layer | compiled "
        "| activations, compiled |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in STAGES:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                compare(name, seed, Path(folder))


def compare(name: str, seed: int, folder: Path) -> None:
    """Prints a table row for each stage of a network; the Rust program reads the problem from `folder`."""
    net = network(name, seed)
    torch.save(net.state_dict(), folder / "weights.pth")
    x = torch.rand(1, 3, 224, 224)
    np.save(folder / "x.npy", x.numpy())
    single = x.clone().requires_grad_()
    double = x.double().requires_grad_()
    ours, gates = stages(net, name, single)
    exact, exact_gates = stages(copy.deepcopy(net).double(), name, double)
    differing = sum(int((a != b).sum()) for a, b in zip(gates, exact_gates, strict=True))
    total = sum(g.numel() for g in gates)
    expected = {}
    for stage in STAGES[name]:
        cotangent = torch.randn(exact[stage].shape)
        np.save(folder / f"cotangent_{stage}.npy", cotangent.numpy())
        (reference,) = torch.autograd.grad(exact[stage], double, cotangent.double(), retain_graph=True)
        (value,) = torch.autograd.grad(ours[stage], single, cotangent, retain_graph=True)
        expected[stage] = (
            reference.numpy(),
            relative_error(value.numpy(), reference.numpy()),
            exact[stage].detach().numpy(),
        )
    subprocess.run([PROGRAM, name, folder, *STAGES[name]], check=True)
    for stage, (reference, pytorch, values) in expected.items():
        plain, compiled = (
            relative_error(np.load(folder / f"{run}_{stage}.npy"), reference) for run in ("plain", "compiled")
        )
        activations = relative_error(np.load(folder / f"compiled_{stage}_values.npy"), values)
        print(
            f"| {name} {stage} | {seed} | {differing} of {total} | {pytorch:.1e} | {plain:.1e} | {compiled:.1e} "
            f"| {activations:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
