"""Writes tests/data/hearing.safetensors: cochleagrams in float64 (numpy), their gradients (PyTorch in float64), and CochCNN9's activations.

Run as the other scripts of this folder, with the path of a spoken word: python scripts/reference/hearing.py assets/speech/seven.wav
The filters, the low-pass and the transform follow the published description (method: docs of src/hearing/cochleagram.rs), computed plainly: the
whole filter bank as a matrix, full-length inverse FFTs, a dense correlation.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F

RATE, N, TAPS, STRIDE = 20_000, 40_000, 1001, 100
PRESETS = {
    "2023": {"hz": (50.0, 10_000.0), "same": False, "gain": 1.0, "steepest": 5.0, "identity": True},
    "2019": {"hz": (20.0, 8_000.0), "same": True, "gain": 796.874, "steepest": 1.0, "identity": False},
}
OUT = Path(__file__).resolve().parents[2] / "tests" / "data"


def erb(f):
    return 9.265 * np.log1p(f / (24.7 * 9.265))


def bank(low, high, n=50, s=4):
    """[211, 20001]: low-pass, band-pass and high-pass filters."""
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
    @staticmethod
    def forward(ctx, x, identity):
        ctx.save_for_backward(x)
        ctx.identity = identity
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return (g if ctx.identity else g * (x > 0)), None


class Power(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, steepest):
        ctx.save_for_backward(u)
        ctx.steepest = steepest
        return u**0.3

    @staticmethod
    def backward(ctx, g):
        (u,) = ctx.saved_tensors
        return g * (0.3 * u**-0.7).clamp(-ctx.steepest, ctx.steepest), None


def cochleagram(x, hz, same, gain, steepest, identity):
    """[211, frames] of x [40000] in float64, differentiable."""
    spectrum = torch.from_numpy(bank(*hz)) * torch.fft.rfft(x)
    z = torch.fft.ifft(F.pad(spectrum, (0, N - spectrum.shape[-1])))
    envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
    t = (np.arange(TAPS) - TAPS / 2) / STRIDE
    h = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5))
    pad = max((-(-N // STRIDE) - 1) * STRIDE + TAPS - N, 0) if same else 0
    envelope = F.pad(envelope, (pad // 2, pad - pad // 2))
    low = F.conv1d(envelope[:, None], h[None, None], stride=STRIDE)[:, 0]
    return Power.apply(Positive.apply(low * gain, identity) + 1e-8, steepest)


def weights(count):
    """The fixed numbers that a gradient is taken along."""
    return ((np.arange(count) * 7919) % 1009) / 1008 - 0.5


def sounds(path):
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        rate = file.getframerate()
    word = np.interp(np.arange(int(len(samples) * RATE / rate)) * rate / RATE, np.arange(len(samples)), samples)[:N]
    speech = np.zeros(N)
    speech[(N - len(word)) // 2 :][: len(word)] = word
    t = np.arange(N) / RATE
    tone = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 1000.0, 4321.5)) * 0.05
    noise = np.random.default_rng(7).standard_normal(N) * 0.05
    return {"speech": speech / speech.std() * 0.1, "tone": tone, "noise": noise}


def same(x, kernel, stride, value=0.0):
    pads = []
    for size, width in zip(reversed(x.shape[-2:]), reversed(kernel)):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def norm(x, p, name):
    of = lambda part: p[f"{name}.{part}"].double()
    return F.batch_norm(x, of("running_mean"), of("running_var"), of("weight"), of("bias"), eps=1e-5)


def cochcnn9(x, p, keep):
    """CochCNN9 with the tensors p on a cochleagram [1, 1, 211, 390]."""
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


def random_cochcnn9(widths=(6, 8, 10, 8, 6), hidden=16, classes=5):
    """Tensors of a narrow CochCNN9."""
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=g)
    p, channels = {}, 1
    for i, (kernel, width) in enumerate(zip(((7, 14), (4, 8), (2, 5), (2, 5), (2, 5)), widths)):
        p[f"conv{i}.weight"] = draw(width, channels, *kernel) * (2 / (channels * kernel[0] * kernel[1])) ** 0.5
        channels = width
    for i, width in enumerate((1, widths[0], widths[1])):
        p |= {f"batchnorm{i}.{part}": draw(width) * 0.2 for part in ("bias", "running_mean")}
        p |= {f"batchnorm{i}.{part}": draw(width).abs() * 0.3 + 0.5 for part in ("weight", "running_var")}
    p["fullyconnected.weight"], p["fullyconnected.bias"] = draw(hidden, channels * 45) * 0.05, draw(hidden) * 0.1
    p["classification.weight"], p["classification.bias"] = draw(classes, hidden) * 0.3, draw(classes) * 0.1
    return p


def main():
    out = {}
    for name, sound in sounds(sys.argv[1]).items():
        sound = sound.astype(np.float32)
        out[f"{name}.waveform"] = sound
        for preset, numbers in PRESETS.items():
            if preset == "2019" and name == "tone":
                continue
            x = torch.from_numpy(sound.astype(np.float64)).requires_grad_(True)
            y = cochleagram(x, **numbers)
            (y.flatten() @ torch.from_numpy(weights(y.numel()))).backward()
            key = f"{name}.{preset}"
            out[f"{key}.values"] = y.detach().numpy().ravel()[::13].astype(np.float32)
            out[f"{key}.norm"] = np.array([np.linalg.norm(y.detach().numpy())], np.float32)
            out[f"{key}.gradient"] = x.grad.numpy()[::5].astype(np.float32)
            out[f"{key}.gradient_norm"] = np.array([x.grad.norm().item()], np.float32)
            if key == "speech.2023":
                p = random_cochcnn9()
                save_file({k: v.numpy() for k, v in p.items()}, OUT / "cochcnn9_narrow.safetensors")
                keep = lambda stage, value: out.update(
                    {f"cochcnn9.{stage}": value.detach().numpy().ravel()[::3].astype(np.float32)}
                )
                cochcnn9(y.detach()[None, None], p, keep)
    save_file(out, OUT / "hearing.safetensors")
    print(sum(v.nbytes for v in out.values()), "bytes")


if __name__ == "__main__":
    main()
