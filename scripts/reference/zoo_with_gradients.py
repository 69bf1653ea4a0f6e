"""Writes activations and gradients of Inception-V3, ResNet-101-V2 and CORnet-S with seeded weights.

The files are tests/data/zoo_gradients.{safetensors,json}. The weights are those of `Checkpoint::random(0)` (zoo.py);
Inception-V3 is torchvision's, with its own preprocessing, the others are resnet_v2.py and cornet_s.py. Everything is
float64; `float32` is the relative error of float32, norm2(a - b) / norm2(b) over the whole tensor. Needs torch and
torchvision; takes two minutes and 4 GB.

    python scripts/reference/zoo_with_gradients.py
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
import torchvision.models as models
from safetensors.torch import save_file
from torch import Tensor, nn

from cornet_s import CORnetS
from resnet_v2 import ResNetV2
from zoo import DATA, SAMPLES, fill

MEAN, DEVIATION = (torch.tensor(v).double().reshape(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
INCEPTION = [
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "maxpool1",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "maxpool2",
    "Mixed_5b",
    "Mixed_5c",
    "Mixed_5d",
    "Mixed_6a",
    "Mixed_6b",
    "Mixed_6c",
    "Mixed_6d",
    "Mixed_6e",
    "Mixed_7a",
    "Mixed_7b",
    "Mixed_7c",
]


def image(side: int) -> Tensor:
    """Returns the test image in [0, 1], which the Rust tests compute by the same formula."""
    pixels = torch.arange(3 * side * side).mul(7919).remainder(1009)
    return (pixels.float() / 1009).reshape(1, 3, side, side).double()


def inception(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Computes all stages after torchvision's preprocessing and the network's `transform_input`."""
    x = net._transform_input((x - MEAN.to(x.dtype)) / DEVIATION.to(x.dtype))
    found = {}
    for name in INCEPTION:
        x = getattr(net, name)(x)
        if not name.startswith("maxpool"):
            found[name] = x
    found["avgpool"] = net.avgpool(x).flatten(1)
    found["logits"] = net.fc(found["avgpool"])
    return found


def cornet(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return net.stages((x - MEAN.to(x.dtype)) / DEVIATION.to(x.dtype))


def resnet_v2(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return net.stages(x)


def projection(count: int) -> Tensor:
    """Returns the fixed vector onto which a stage is projected."""
    return ((torch.arange(count) * 7919) % 1009).double() / 1008 - 0.5


def evaluate(net: nn.Module, x: Tensor, run: Callable[[nn.Module, Tensor], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Returns each stage and the gradient of its projection with respect to `x`."""
    x = x.requires_grad_()
    found = {}
    for stage, values in run(net, x).items():
        found[stage] = values.detach()
        total = (values.flatten() * projection(values.numel()).to(x.dtype)).sum()
        (found[f"{stage}.gradient"],) = torch.autograd.grad(total, x, retain_graph=True)
    return found


def main() -> None:
    inception_v3 = models.inception_v3(weights=None, init_weights=False, aux_logits=True, transform_input=True)
    networks: dict[str, tuple[nn.Module, int, Callable[[nn.Module, Tensor], dict[str, Tensor]]]] = {
        "inception_v3": (inception_v3, 299, inception),
        "resnet101_v2": (ResNetV2(), 299, resnet_v2),
        "cornet_s": (CORnetS(), 224, cornet),
    }
    facts: dict[str, dict[str, object]] = {}
    samples: dict[str, Tensor] = {}

    def note(key: str, values: Tensor, float32: Tensor) -> None:
        flat = values.flatten()
        stride = max(flat.numel() // SAMPLES, 1)
        facts[key] = {
            "shape": list(values.shape),
            "norm": flat.norm().item(),
            "projection": (flat * projection(flat.numel())).sum().item(),
            "stride": stride,
            "float32": ((float32.double() - values).norm() / flat.norm()).item(),
        }
        samples[key] = flat[::stride][:SAMPLES].float().contiguous()

    for name, (net, side, run) in networks.items():
        filled = fill(net).requires_grad_(False)
        truth = evaluate(filled, image(side), run)
        single = evaluate(filled.float(), image(side).float(), run)
        for key, values in truth.items():
            note(f"{name}.{key}", values, single[key])
        print(name, sum(p.numel() for p in filled.parameters()), "parameters")
    save_file(samples, DATA / "zoo_gradients.safetensors")
    (DATA / "zoo_gradients.safetensors").chmod(0o644)
    lines = [f"{json.dumps(key)}: {json.dumps(fact)}" for key, fact in facts.items()]
    (DATA / "zoo_gradients.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
