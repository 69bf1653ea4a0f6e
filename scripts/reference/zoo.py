"""Writes activations of torchvision's networks with seeded weights: tests/data/zoo.{safetensors,json}.

Also writes state_dicts.json, tiny.pth and legacy.pth. The weights are those of `Checkpoint::random(0)`, computed by the
same formula; everything else is torchvision's, in float64. CochResNet50 is torchvision's ResNet-50 with one input
channel and 794 classes, on the cochleagram (hearing.py) of the speech in tests/data/hearing.safetensors. Needs torch
and torchvision.

    python scripts/reference/zoo.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torchvision.models as models
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hearing import PRESETS, cochleagram

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1
SAMPLES = 128


def seeded(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Returns the tensor of Checkpoint::random, whose documentation has the formula."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) & MASK
    key = (key + seed * GOLDEN) & MASK
    with np.errstate(over="ignore"):
        z = (np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(key)) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**24
    if len(shape) > 1:
        values = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith((".weight", ".running_var")):
        values = 0.75 + u / 2
    else:
        values = (u - 0.5) / 10
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(net: nn.Module) -> nn.Module:
    """Replaces a network's weights by those of Checkpoint::random(0)."""
    state = {k: seeded(0, k, tuple(v.shape)) if v.dim() else v for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return net.eval().double()


def sequence(net: nn.Sequential, x: Tensor, names: dict[int, str]) -> dict[str, Tensor]:
    """Applies the modules in order and returns the outputs of the named ones."""
    found = {}
    for i, module in enumerate(net):
        x = module(x)
        if i in names:
            found[names[i]] = x
    return found


def alexnet(x: Tensor) -> dict[str, Tensor]:
    net = fill(models.alexnet(weights=None))
    names = {1: "conv1", 4: "conv2", 7: "conv3", 9: "conv4", 11: "conv5", 12: "pool5"}
    found = sequence(net.features, x, names)
    rest = net.avgpool(found["pool5"]).flatten(1)
    return found | sequence(net.classifier, rest, {2: "fc6", 5: "fc7", 6: "logits"})


def vgg(net: nn.Module, x: Tensor, classifier: bool) -> dict[str, Tensor]:
    if not classifier:
        del net.classifier
    net = fill(net)
    names, group, layer = {}, 1, 0
    for i, module in enumerate(net.features):
        if isinstance(module, nn.ReLU):
            layer += 1
            names[i] = f"conv{group}_{layer}"
        elif isinstance(module, nn.MaxPool2d):
            names[i] = f"pool{group}"
            group, layer = group + 1, 0
    found = sequence(net.features, x, names)
    if classifier:
        rest = net.avgpool(found["pool5"]).flatten(1)
        found |= sequence(net.classifier, rest, {1: "fc6", 4: "fc7", 6: "logits"})
    return found


def resnet(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    net = fill(net)
    found = {"conv1": net.relu(net.bn1(net.conv1(x)))}
    y = net.maxpool(found["conv1"])
    for name in ["layer1", "layer2", "layer3", "layer4"]:
        y = found[name] = getattr(net, name)(y)
    found["avgpool"] = net.avgpool(y).flatten(1)
    found["logits"] = net.fc(found["avgpool"])
    return found


def cochresnet50_model() -> nn.Module:
    net = models.resnet50(weights=None, num_classes=794)
    net.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return net


def cochresnet50() -> dict[str, Tensor]:
    net = cochresnet50_model()
    x = cochleagram(load_file(DATA / "hearing.safetensors")["speech.waveform"].double(), **PRESETS["2023"])
    found = {"cochleagram": x} | resnet(net, x[None, None])
    found["final"] = found.pop("logits")
    return found


@torch.no_grad()
def main() -> None:
    pixels = torch.arange(3 * 224 * 224).remainder(1009 * 7919).mul(7919).remainder(1009)
    x = (pixels.float() / 1009).reshape(1, 3, 224, 224).double()
    mean, deviation = (
        torch.tensor(v).double().reshape(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    x = (x - mean) / deviation
    networks = {
        "alexnet": alexnet(x),
        "vgg16": vgg(models.vgg16(weights=None), x, True),
        "vgg19": vgg(models.vgg19(weights=None), x, False),
        "resnet50": resnet(models.resnet50(weights=None), x),
        "resnet101": resnet(models.resnet101(weights=None), x),
        "cochresnet50": cochresnet50(),
    }
    facts: dict[str, dict[str, object]] = {}
    samples: dict[str, Tensor] = {}
    for network, stages in networks.items():
        facts[network] = {}
        for stage, values in stages.items():
            flat = values.flatten()
            weights = ((torch.arange(flat.numel()) * 7919) % 1009).double() / 1008 - 0.5
            stride = max(flat.numel() // SAMPLES, 1)
            facts[network][stage] = {
                "shape": list(values.shape),
                "norm": flat.norm().item(),
                "projection": (flat * weights).sum().item(),
                "stride": stride,
            }
            samples[f"{network}.{stage}"] = flat[::stride][:SAMPLES].float().contiguous()
    save_file(samples, DATA / "zoo.safetensors")
    (DATA / "zoo.safetensors").chmod(0o644)
    (DATA / "zoo.json").write_text(json.dumps(facts, indent=1) + "\n")
    tiny = {"conv.weight": torch.arange(12.0).reshape(2, 2, 1, 3), "counter": torch.tensor(3)}
    torch.save(tiny, DATA / "tiny.pth")
    torch.save(tiny, DATA / "legacy.pth", _use_new_zipfile_serialization=False)
    write_state_dicts()


def write_state_dicts() -> None:
    """Writes the names and shapes of the floating-point tensors in each torchvision network."""
    with torch.device("meta"):
        nets = {
            "alexnet": models.alexnet(weights=None),
            "vgg16": models.vgg16(weights=None),
            "vgg19": models.vgg19(weights=None),
            "resnet50": models.resnet50(weights=None),
            "resnet101": models.resnet101(weights=None),
            "cochresnet50": cochresnet50_model(),
        }
    shapes = {name: {k: list(v.shape) for k, v in net.state_dict().items() if v.dim()} for name, net in nets.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(tensors, separators=(',', ':'))}" for name, tensors in shapes.items()]
    (DATA / "state_dicts.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
