"""Writes cochleagrams, their gradients and CochCNN9's activations in float64: tests/data/hearing.safetensors.

    python scripts/reference/hearing.py assets/speech/seven.wav

Filters, low-pass filter and compression follow the published description (docs of src/hearing/cochleagram.rs) without
optimizations: the whole filter bank as a matrix, full-length inverse FFTs, a dense correlation.
"""

from __future__ import annotations

import argparse
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn import functional as F

RATE, N, TAPS, STRIDE = 20_000, 40_000, 1001, 100
PRESETS = {
    "2023": {"hz": (50.0, 10_000.0), "same": False, "gain": 1.0, "steepest": 5.0, "identity": True},
    "2019": {"hz": (20.0, 8_000.0), "same": True, "gain": 796.874, "steepest": 1.0, "identity": False},
}
OUT = Path(__file__).resolve().parents[2] / "tests" / "data"


def erb(f: Any) -> Any:
    """Returns the number of ERBs below a frequency in Hz, or below each of an array."""
    return 9.265 * np.log1p(f / (24.7 * 9.265))


def filter_bank(low: float, high: float, n: int = 50, s: int = 4) -> np.ndarray:
    """Returns the low-pass, band-pass and high-pass filters, [211, 20001]."""
    count = s * (n + 1) - 1
    edges = np.linspace(erb(low), erb(high), count + 2)
    middle, step = edges[1:-1], edges[1] - edges[0]
    f = np.arange(N // 2 + 1) * RATE / N
    away = (erb(f) - middle[:, None]) / (s * step)
    band = np.where(np.abs(away) < 1, np.cos(np.pi / 2 * away), 0.0)
    hz = 24.7 * 9.265 * np.expm1(middle / 9.265)
    rest = np.sqrt(np.maximum(1 - band**2, 0))
    below = [np.where(f < hz[i], rest[i], 0) for i in range(s)]
    above = [np.where(f > hz[i], rest[i], 0) for i in range(count - s, count)]
    return np.concatenate([below, band, above]) / np.sqrt(s)


class Positive(torch.autograd.Function):
    """A ReLU whose gradient is the identity or the true one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, identity: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.identity = identity
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return (g if ctx.identity else g * (x > 0)), None


class Power(torch.autograd.Function):
    """The power 0.3, with a gradient clipped to `steepest`."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, steepest: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.steepest = steepest
        return u**0.3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return g * (0.3 * u**-0.7).clamp(-ctx.steepest, ctx.steepest), None


def cochleagram(x: Tensor, hz: tuple[float, float], same: bool, gain: float, steepest: float, identity: bool) -> Tensor:
    """Computes the cochleagram [211, frames] of x [40000] in float64, differentiable."""
    spectrum = torch.from_numpy(filter_bank(*hz)) * torch.fft.rfft(x)
    z = torch.fft.ifft(F.pad(spectrum, (0, N - spectrum.shape[-1])))
    envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
    t = (np.arange(TAPS) - TAPS / 2) / STRIDE
    h = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5))
    pad = max((-(-N // STRIDE) - 1) * STRIDE + TAPS - N, 0) if same else 0
    envelope = F.pad(envelope, (pad // 2, pad - pad // 2))
    low = F.conv1d(envelope[:, None], h[None, None], stride=STRIDE)[:, 0]
    return Power.apply(Positive.apply(low * gain, identity) + 1e-8, steepest)


def weights(count: int) -> np.ndarray:
    """Returns the fixed vector onto which a cochleagram is projected."""
    return ((np.arange(count) * 7919) % 1009) / 1008 - 0.5


def sounds(path: Path) -> dict[str, np.ndarray]:
    """Returns the recorded word, resampled to 20 kHz and centered, a sum of tones, and noise."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        rate = file.getframerate()
    word = np.interp(np.arange(int(len(samples) * RATE / rate)) * rate / RATE, np.arange(len(samples)), samples)[:N]
    speech = np.zeros(N)
    speech[(N - len(word)) // 2 :][: len(word)] = word
    t = np.arange(N) / RATE
    tone = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 1000.0, 4321.5)) * 0.05
    noise = np.random.default_rng(7).standard_normal(N) * 0.05
    return {"speech": speech / speech.std() * 0.1, "tone": tone, "noise": noise}


def same(x: Tensor, kernel: Sequence[int], stride: int, value: float = 0.0) -> Tensor:
    """Pads as TensorFlow's SAME does."""
    pads: list[int] = []
    for size, width in zip(reversed(x.shape[-2:]), reversed(kernel), strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def norm(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (p[f"{name}.{part}"].double() for part in parts)
    return F.batch_norm(x, mean, variance, weight, bias, eps=1e-5)


def cochcnn9(x: Tensor, p: dict[str, Tensor], keep: Callable[[str, Tensor], None]) -> None:
    """Applies CochCNN9 with the tensors p to a cochleagram [1, 1, 211, 390] and passes each stage to `keep`."""
    x = norm(x, p, "batchnorm0")
    for i, stride in enumerate((3, 2, 1, 1, 1)):
        w = p[f"conv{i}.weight"].double()
        x = F.relu(F.conv2d(same(x, w.shape[-2:], stride), w, stride=stride))
        keep(f"relu{i}", x)
        if i < 2:
            x = norm(F.max_pool2d(same(x, (2, 5), 2, -np.inf), (2, 5), 2), p, f"batchnorm{i + 1}")
    x = F.avg_pool2d(same(x, (2, 5), 2), (2, 5), 2)
    keep("avgpool", x)
    x = F.relu(F.linear(x.flatten(1), p["fullyconnected.weight"].double(), p["fullyconnected.bias"].double()))
    keep("relufc", x)
    keep("final", F.linear(x, p["classification.weight"].double(), p["classification.bias"].double()))


def random_cochcnn9(widths: Sequence[int] = (6, 8, 10, 8, 6), hidden: int = 16, classes: int = 5) -> dict[str, Tensor]:
    """Returns seeded tensors of a narrow CochCNN9."""
    g = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    p, channels = {}, 1
    for i, (kernel, width) in enumerate(zip(((7, 14), (4, 8), (2, 5), (2, 5), (2, 5)), widths, strict=True)):
        p[f"conv{i}.weight"] = normal(width, channels, *kernel) * (2 / (channels * kernel[0] * kernel[1])) ** 0.5
        channels = width
    for i, width in enumerate((1, widths[0], widths[1])):
        p |= {f"batchnorm{i}.{part}": normal(width) * 0.2 for part in ("bias", "running_mean")}
        p |= {f"batchnorm{i}.{part}": normal(width).abs() * 0.3 + 0.5 for part in ("weight", "running_var")}
    p["fullyconnected.weight"], p["fullyconnected.bias"] = normal(hidden, channels * 45) * 0.05, normal(hidden) * 0.1
    p["classification.weight"], p["classification.bias"] = normal(classes, hidden) * 0.3, normal(classes) * 0.1
    return p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", type=Path, help="WAV file of a spoken word")
    arguments = parser.parse_args()
    out: dict[str, np.ndarray] = {}

    def keep(stage: str, value: Tensor) -> None:
        out[f"cochcnn9.{stage}"] = value.detach().numpy().ravel()[::3].astype(np.float32)

    for name, samples in sounds(arguments.word).items():
        waveform = samples.astype(np.float32)
        out[f"{name}.waveform"] = waveform
        for preset, parameters in PRESETS.items():
            if preset == "2019" and name == "tone":
                continue
            x = torch.from_numpy(waveform.astype(np.float64)).requires_grad_(True)
            y = cochleagram(x, **parameters)
            (y.flatten() @ torch.from_numpy(weights(y.numel()))).backward()
            key = f"{name}.{preset}"
            out[f"{key}.values"] = y.detach().numpy().ravel()[::13].astype(np.float32)
            out[f"{key}.norm"] = np.array([np.linalg.norm(y.detach().numpy())], np.float32)
            out[f"{key}.gradient"] = x.grad.numpy()[::5].astype(np.float32)
            out[f"{key}.gradient_norm"] = np.array([x.grad.norm().item()], np.float32)
            if key == "speech.2023":
                p = random_cochcnn9()
                save_file({k: v.numpy() for k, v in p.items()}, OUT / "cochcnn9_narrow.safetensors")
                cochcnn9(y.detach()[None, None], p, keep)
    save_file(out, OUT / "hearing.safetensors")
    print(sum(v.nbytes for v in out.values()), "bytes")


if __name__ == "__main__":
    main()
