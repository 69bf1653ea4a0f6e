"""Writes float64 log-mel energies and their gradient: tests/data/log_mel.safetensors.

Values and gradient are PyTorch's, from the formula in src/hearing/log_mel.rs; numpy computes the values again, and the
script fails where the two differ. Silence (an energy of exactly 0) has the value ln 2^-52 and the gradient 0.

    python scripts/reference/log_mel.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
RATE, SAMPLES, WINDOW, STEP, FFT, FILTERS = 16_000, 24_000, 400, 160, 512, 64
FRAMES = 1 + -(-(SAMPLES - WINDOW) // STEP)


def filters() -> np.ndarray:
    """Returns the filters, [64, 257]: triangles with corners evenly spaced in mel and rounded down to bins."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE).astype(int)
    bank = np.zeros((FILTERS, FFT // 2 + 1))
    for row, low, middle, high in zip(bank, corners, corners[1:], corners[2:], strict=False):
        row[low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        row[middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return bank


def log_mel(x: torch.Tensor) -> torch.Tensor:
    """Computes the energies [149, 64] of a waveform of 24000 samples in float64, differentiable."""
    padded = torch.nn.functional.pad(x, (0, (FRAMES - 1) * STEP + WINDOW - SAMPLES))
    spectrum = torch.fft.rfft(padded.unfold(0, WINDOW, STEP), FFT)
    energy = (spectrum.real**2 + spectrum.imag**2) / FFT @ torch.from_numpy(filters().T)
    silent = energy == 0
    return torch.where(silent, np.log(2.0**-52), torch.where(silent, 1.0, energy).log())


def log_mel_numpy(x: np.ndarray) -> np.ndarray:
    """Computes the energies [149, 64] in numpy."""
    padded = np.concatenate([x, np.zeros((FRAMES - 1) * STEP + WINDOW - SAMPLES)])
    frames = np.stack([padded[t * STEP :][:WINDOW] for t in range(FRAMES)])
    energy = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT @ filters().T
    return np.log(np.where(energy == 0, np.finfo(float).eps, energy))


def weights(count: int) -> np.ndarray:
    """Returns the fixed vector onto which the energies are projected."""
    return ((np.arange(count) * 7919) % 1009) / 1008 - 0.5


def sounds() -> dict[str, np.ndarray]:
    """Returns the waveforms that the tests also generate: a word in digital silence, noise and tones."""
    i = np.arange(SAMPLES)
    noise = 0.1 * ((i * i * 7919 % 65537) / 65536 - 0.5)
    tone = sum(0.1 * np.sin(2 * np.pi * f * i / RATE) for f in (215.3, 1003.7, 3207.9))
    speech = load_file(DATA / "hearing.safetensors")["speech.waveform"][8_000 : 8_000 + SAMPLES]
    return {"speech": speech, "noise": noise.astype(np.float32), "tone": tone.astype(np.float32)}


def main() -> None:
    out = {}
    for name, sound in sounds().items():
        x = torch.from_numpy(sound.astype(np.float64)).requires_grad_(True)
        y = log_mel(x)
        (y.flatten() @ torch.from_numpy(weights(y.numel()))).backward()
        values, gradient = y.detach().numpy(), x.grad.numpy()
        assert np.abs(values - log_mel_numpy(sound.astype(np.float64))).max() < 1e-9
        print(
            f"{name}: {np.sum(values == np.log(2.0**-52))} silent energies, min {values.min():.2f}, "
            f"max {values.max():.2f}, gradient's norm {np.linalg.norm(gradient):.3e}"
        )
        out[f"{name}.values"] = values.ravel()[::5].astype(np.float32)
        out[f"{name}.norm"] = np.array([np.linalg.norm(values)], np.float32)
        out[f"{name}.gradient"] = gradient[::7].astype(np.float32)
        out[f"{name}.gradient_norm"] = np.array([np.linalg.norm(gradient)], np.float32)
    save_file(out, DATA / "log_mel.safetensors")
    (DATA / "log_mel.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
