"""Writes PyTorch's activations of the word networks: tests/data/cochcnn_words.{safetensors,json}.

The network is defined here as scripts/words/README.md describes it, with the weights of assets/networks; the
cochleagram follows its formulas. Everything is computed in float64 from the recordings in assets/speech.

    python scripts/reference/cochcnn_words.py
"""

from __future__ import annotations

import hashlib
import json
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
NETWORKS = ("cochcnn_words", "cochcnn_words_hann", "cochcnn_words_untrained")
CLIPS = ("seven", "foxtrot")
SAMPLES, RATE, RMS = 40_000, 20_000, 0.1
MAX_SAMPLES = 2048
LOW, HIGH, COUNT, FACTOR = 50.0, 10_000.0, 50, 4


def sound(name: str) -> Tensor:
    """Reads a recording, centered in 2 s, with mean 0 and rms 0.1."""
    with wave.open(str(ROOT / "assets" / "speech" / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        x = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768
    before = (SAMPLES - len(x)) // 2
    x = np.pad(x, (before, SAMPLES - len(x) - before))
    x = x - x.mean()
    return torch.from_numpy(x * RMS / np.sqrt((x * x).mean()))


def erb(f: np.ndarray | float) -> np.ndarray:
    return 9.265 * np.log(1 + np.asarray(f) / (24.7 * 9.265))


def cochleagram(x: Tensor) -> Tensor:
    """Computes the cochleagram, [40000] -> [211, 390].

    Half-cosine filters on the ERB scale, envelopes, low-pass filter and decimation, power 0.3.
    """
    bands = FACTOR * (COUNT + 1) - 1
    grid = np.linspace(erb(LOW), erb(HIGH), bands + 2)
    e = erb(np.linspace(0, RATE / 2, SAMPLES // 2 + 1))
    half = FACTOR * (grid[1] - grid[0])
    away = e - grid[1:-1, None]
    band = np.where(np.abs(away) < half, np.cos(np.pi * away / (2 * half)), 0.0)
    low = [np.where(e < grid[1 + i], np.sqrt(1 - band[i] ** 2), 0.0) for i in range(FACTOR)]
    high = [np.where(e > grid[1 + i], np.sqrt(1 - band[i] ** 2), 0.0) for i in range(bands - FACTOR, bands)]
    gains = torch.from_numpy(np.concatenate([low, band, high]) / math.sqrt(FACTOR))
    z = torch.fft.ifft(F.pad(gains * torch.fft.rfft(x), (0, SAMPLES - SAMPLES // 2 - 1)))
    envelope = z.abs().clamp(min=1e-8)
    t = np.arange(1001) - 500.5
    taps = torch.from_numpy(np.sinc(t / 100) / 100 * np.kaiser(1001, 5))
    y = F.conv1d(envelope[:, None], taps[None, None], stride=100)[:, 0]
    return (y.clamp(min=0) + 1e-8) ** 0.3


def same(x: Tensor, kernel: tuple[int, int], stride: int, value: float = 0.0) -> Tensor:
    """Pads as TensorFlow's SAME does: an odd row or column goes to the end."""
    pads: list[int] = []
    for size, width in zip((x.shape[-1], x.shape[-2]), (kernel[1], kernel[0]), strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(same(x, (2, 5), 2, -math.inf), (2, 5), 2)


def hann_pool(x: Tensor) -> Tensor:
    """Hann pooling of 8 taps, whose ends are zero, hence 6 x 6, with stride 2."""
    window = torch.sin(math.pi * torch.arange(1, 7, dtype=x.dtype) / 7) ** 2
    weights = torch.outer(window, window) / window.sum() ** 2
    channels = x.shape[1]
    return F.conv2d(same(x, (6, 6), 2), weights.expand(channels, 1, 6, 6), stride=2, groups=channels)


def activations(weights: dict[str, Tensor], hann: bool, x: Tensor) -> dict[str, Tensor]:
    """Computes the activations of all stages for a cochleagram [211, 390]."""
    pool = hann_pool if hann else max_pool
    stages = {"cochleagram": x}

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-5)

    def conv(name: str, x: Tensor, stride: int) -> Tensor:
        kernel = weights[f"{name}.weight"]
        size = (kernel.shape[2], kernel.shape[3])
        return F.relu(F.conv2d(same(x, size, stride), kernel, stride=stride))

    x = stages["relu0"] = conv("conv0", norm("batchnorm0", x[None, None]), 3)
    x = stages["relu1"] = conv("conv1", norm("batchnorm1", pool(x)), 2)
    x = stages["relu2"] = conv("conv2", norm("batchnorm2", pool(x)), 1)
    x = stages["relu3"] = conv("conv3", x, 1)
    x = stages["relu4"] = conv("conv4", x, 1)
    x = stages["avgpool"] = F.avg_pool2d(same(x, (2, 5), 2), (2, 5), 2)
    x = F.linear(x.flatten(1), weights["fullyconnected.weight"], weights["fullyconnected.bias"])
    x = stages["relufc"] = F.relu(x)
    stages["final"] = F.linear(x, weights["classification.weight"], weights["classification.bias"])
    return {stage: value if stage == "cochleagram" else value[0] for stage, value in stages.items()}


def summary(values: Tensor) -> tuple[dict[str, Any], Tensor]:
    """Returns the statistics of a tensor for the JSON file, and its sampled values."""
    flat = values.flatten()
    n = flat.numel()
    stride = max(n // MAX_SAMPLES, 1)
    weights = ((torch.arange(n) * 7919) % 1009).double() / 1008 - 0.5
    numbers = {
        "shape": list(values.shape),
        "norm": flat.norm().item(),
        "mean": flat.mean().item(),
        "projection": (flat * weights).sum().item(),
        "stride": stride,
        "count": len(flat[::stride][:MAX_SAMPLES]),
    }
    return numbers, flat[::stride][:MAX_SAMPLES].float().contiguous()


def relative_error(a: Tensor, truth: Tensor) -> float:
    return ((a.double() - truth).norm() / truth.norm()).item()


def main() -> None:
    torch.set_num_threads(1)
    stored: dict[str, Tensor] = {}
    report: dict[str, Any] = {"clips": [f"assets/speech/{clip}.wav" for clip in CLIPS], "networks": {}}
    cochleagrams = [cochleagram(sound(clip)) for clip in CLIPS]
    for name in NETWORKS:
        path = ROOT / "assets" / "networks" / f"{name}.safetensors"
        with safe_open(path, "pt") as file:
            classes = json.loads(file.metadata()["classes"])
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        entry: dict[str, Any] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "clips": []}
        for c, x in enumerate(cochleagrams):
            hann = name.endswith("hann")
            with torch.no_grad():
                double = activations({key: value.double() for key, value in weights.items()}, hann, x)
                single = activations({key: value.float() for key, value in weights.items()}, hann, x.float())
            stages: dict[str, Any] = {}
            for stage, truth in double.items():
                stages[stage], values = summary(truth)
                stages[stage]["float32_deviation"] = relative_error(single[stage], truth)
                key = f"clip{c}.cochleagram" if stage == "cochleagram" else f"{name}.clip{c}.{stage}"
                stored[key] = values
            best = torch.softmax(double["final"], 0).topk(5)
            top = [
                {"class": i, "name": classes[i], "probability": p}
                for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
            entry["clips"].append({"stages": stages, "top5": top})
            print(name, CLIPS[c], "->", top[0]["name"], f"{top[0]['probability']:.3f}")
        report["networks"][name] = entry
    save_file(stored, DATA / "cochcnn_words.safetensors")
    (DATA / "cochcnn_words.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
