"""How far gradients of whole networks are from float64: ours, compiled and layer by layer, and PyTorch's in float32.

    cargo build --release --example gradient_error
    python scripts/gradient_error.py [--seeds 3]

A rectifier lets a gradient pass or not. Of the millions of values before rectifiers some lie so near zero that rounding
decides, and each such value changes the gradient by as much as it carries: no float32 program agrees with another below
that. So each figure stands beside PyTorch's, and beside the number of gates that float32 decides otherwise than float64.
The same networks without rectifiers (the slope is 1 everywhere) show what rounding alone does.
Needs torch and torchvision.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
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
    """He's weights, and batch normalisation that keeps activations near 1, as in a trained network."""
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
    """Activations at the stages, and every rectifier's gates up to the last."""
    found: dict[str, Tensor] = {}
    gates: list[Tensor] = []
    hooks = []
    for stage, module in STAGES[name].items():
        # A rectifier is used more than once in ResNet's blocks, but its stem's only once.
        hooks.append(
            net.get_submodule(module).register_forward_hook(lambda _m, _i, out, s=stage: found.setdefault(s, out))
        )
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            hooks.append(module.register_forward_hook(lambda _m, i, _o: gates.append(i[0].detach() > 0)))
    mean, deviation = (torch.tensor(v, dtype=x.dtype)[:, None, None] for v in (MEAN, DEVIATION))
    net((x - mean) / deviation)
    for hook in hooks:
        hook.remove()
    return found, gates


def off(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    seeds = parser.parse_args().seeds
    print(
        "| stage | seed | gates PyTorch's float32 decides otherwise | PyTorch | layer by layer | compiled | activations, compiled |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in STAGES:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                compare(name, seed, Path(folder))


def compare(name: str, seed: int, folder: Path) -> None:
    net = network(name, seed)
    torch.save(net.state_dict(), folder / "weights.pth")
    x = torch.rand(1, 3, 224, 224)
    np.save(folder / "x.npy", x.numpy())
    single = x.clone().requires_grad_()
    double = x.double().requires_grad_()
    ours, gates = stages(net, name, single)
    exact, exact_gates = stages(copy.deepcopy(net).double(), name, double)
    flips = sum(int((a != b).sum()) for a, b in zip(gates, exact_gates))
    total = sum(g.numel() for g in gates)
    expected = {}
    for stage in STAGES[name]:
        cotangent = torch.randn(exact[stage].shape)
        np.save(folder / f"cotangent_{stage}.npy", cotangent.numpy())
        (reference,) = torch.autograd.grad(exact[stage], double, cotangent.double(), retain_graph=True)
        (value,) = torch.autograd.grad(ours[stage], single, cotangent, retain_graph=True)
        expected[stage] = (reference.numpy(), off(value.numpy(), reference.numpy()), exact[stage].detach().numpy())
    subprocess.run([PROGRAM, name, folder, *STAGES[name]], check=True)
    for stage, (reference, pytorch, values) in expected.items():
        plain, compiled = (off(np.load(folder / f"{run}_{stage}.npy"), reference) for run in ("plain", "compiled"))
        activations = off(np.load(folder / f"compiled_{stage}_values.npy"), values)
        print(
            f"| {name} {stage} | {seed} | {flips} of {total} | {pytorch:.1e} | {plain:.1e} | {compiled:.1e} | {activations:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
