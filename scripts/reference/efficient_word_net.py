"""Writes activations and gradients of EfficientWord-Net's ResNet-50: tests/data/efficient_word_net.{safetensors,json}.

`narrow`: a network with the same graph, few channels and the weights of `Checkpoint::random(0)`, in float64; it tests
the graph without the package. `package`: the package's own front end and its ONNX file in onnxruntime (float32), with
gradients of the same weights in PyTorch (float64); the script fails where the two differ by more than 1e-4. Needs the
package's wheel (`cargo lab --fetch` leaves it in target/assets-sources), onnx==1.23.2 and
onnxruntime==1.32.0.

    python scripts/reference/efficient_word_net.py [WHEEL]
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from log_mel import DATA, log_mel, sounds, weights
from zoo import seeded

ROOT = DATA.parents[1]
WHEEL = ROOT / "target" / "assets-sources" / "efficientword_net-1.0.5-py3-none-any.whl"
ONNX = "eff_word_net/models/resnet_50_arc/slim_93%_accuracy_72.7390%.onnx"
BLOCKS = (3, 4, 6, 3)
NARROW = ((5, 12), (6, 14), (7, 16), (9, 20))  # inner and output channels of the blocks in each group
SAMPLES = 128
# Output names of the stages in the ONNX graph.
NODES = {"conv1": "/feature_network/relu/Relu_output_0", "avgpool": "/feature_network/Flatten_output_0"} | {
    f"layer{g + 1}": f"/feature_network/layer{g + 1}/layer{g + 1}.{n - 1}/relu_2/Relu_output_0"
    for g, n in enumerate(BLOCKS)
}


def narrow() -> dict[str, Tensor]:
    """Returns seeded weights of a narrow network."""
    shapes = {"conv1": (5, 1, 7, 7)}
    inputs = 5
    for group, (inner, outputs) in enumerate(NARROW):
        for index in range(BLOCKS[group]):
            name = f"layer{group + 1}.{index}"
            shapes[f"{name}.conv1"] = (inner, inputs, 1, 1)
            shapes[f"{name}.conv2"] = (inner, inner, 3, 3)
            shapes[f"{name}.conv3"] = (outputs, inner, 1, 1)
            if index == 0:
                shapes[f"{name}.downsample.0"] = (outputs, inputs, 1, 1)
            inputs = outputs
    p = {f"{name}.weight": seeded(0, f"{name}.weight", shape) for name, shape in shapes.items()}
    p |= {f"{name}.bias": seeded(0, f"{name}.bias", shape[:1]) for name, shape in shapes.items()}
    for name, channels in (("inp_batch_norm", 1), ("bn_final", inputs)):
        for part in ("weight", "bias", "running_mean", "running_var"):
            p[f"{name}.{part}"] = seeded(0, f"{name}.{part}", (channels,))
    return p


def network(wave: Tensor, p: dict[str, Tensor]) -> dict[str, Tensor]:
    """Computes all stages for a waveform, in float64 and differentiable."""
    p = {name: tensor.double() for name, tensor in p.items()}

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = p[f"{name}.weight"]
        return F.conv2d(x, weight, p[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (p[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, variance, weight, bias, eps=1e-5)

    found = {"logmel": log_mel(wave)[None, None]}
    x = found["logmel"]
    x = 2 * (x - x.min()) / (x.max() - x.min()) - 1
    x = found["conv1"] = conv(norm(x, "inp_batch_norm"), "conv1", 2).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for group, count in enumerate(BLOCKS):
        for index in range(count):
            name, stride = f"layer{group + 1}.{index}", 2 if group and not index else 1
            y = conv(conv(x, f"{name}.conv1").relu(), f"{name}.conv2", stride).relu()
            shortcut = conv(x, f"{name}.downsample.0", stride) if f"{name}.downsample.0.weight" in p else x
            x = (conv(y, f"{name}.conv3") + shortcut).relu()
        found[f"layer{group + 1}"] = x
    found["avgpool"] = x.mean((2, 3))
    found["embedding"] = F.normalize(norm(found["avgpool"], "bn_final"), eps=1e-12)
    return found


class Package:
    """The wheel's front end, and its network with every stage as an output."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            code, model = archive.read("eff_word_net/audio_utils.py"), onnx.load_from_string(archive.read(ONNX))
        self.front = ModuleType("audio_utils")
        exec(code, self.front.__dict__)
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in NODES.values())
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def stages(self, wave: np.ndarray) -> dict[str, np.ndarray]:
        """Computes all stages as `Resnet50_Arc_loss.audioToVector` does."""
        y = self.front.logfbank(wave, samplerate=16000, winlen=0.025, winstep=0.01, nfilt=64, nfft=512, preemph=0.0)
        names = {"embedding": "feature_output"} | NODES
        found = self.session.run(list(names.values()), {"input": y[None, None].astype(np.float32)})
        return {"logmel": y} | dict(zip(names, found, strict=True))


def summary(values: np.ndarray) -> tuple[dict[str, object], Tensor]:
    """Returns the statistics of an array for the JSON file, and its sampled values."""
    flat = values.astype(np.float64).ravel()
    stride = max(flat.size // SAMPLES, 1)
    numbers = {
        "shape": list(values.shape),
        "norm": np.linalg.norm(flat),
        "projection": flat @ weights(flat.size),
        "stride": stride,
    }
    return numbers, torch.from_numpy(flat[::stride][:SAMPLES].astype(np.float32))


def main() -> None:
    wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else WHEEL
    checkpoint = ROOT / "assets" / "optional" / "efficient_word_net.safetensors"
    for path in (wheel, checkpoint):
        if not path.exists():
            sys.exit(f"error: {path} is missing; run cargo lab --fetch")
    package = Package(wheel)
    facts: dict[str, dict[str, object]] = {}
    samples: dict[str, Tensor] = {}
    for kind, p in {"narrow": narrow(), "package": load_file(checkpoint)}.items():
        for sound, wave in sounds().items():
            x = torch.from_numpy(wave.astype(np.float64)).requires_grad_(True)
            stages = network(x, p)
            package_stages = package.stages(wave) if kind == "package" else {}
            for stage, values in stages.items():
                key = f"{kind}.{sound}.{stage}"
                kept = values.detach().numpy()
                if package_stages:
                    other = package_stages[stage].reshape(kept.shape)
                    difference = np.linalg.norm(other - kept) / np.linalg.norm(kept)
                    print(f"{key}: onnxruntime and PyTorch differ by {difference:.1e}")
                    assert difference < 1e-4
                    kept = other
                facts[key], samples[key] = summary(kept)
                if stage in ("layer2", "embedding"):
                    (gradient,) = torch.autograd.grad(
                        values.flatten() @ torch.from_numpy(weights(values.numel())), x, retain_graph=True
                    )
                    facts[f"{key}.gradient"], samples[f"{key}.gradient"] = summary(gradient.numpy())
    save_file(samples, DATA / "efficient_word_net.safetensors")
    (DATA / "efficient_word_net.safetensors").chmod(0o644)
    (DATA / "efficient_word_net.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
