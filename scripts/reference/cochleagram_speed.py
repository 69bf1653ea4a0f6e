"""Milliseconds of a cochleagram forward and with its gradient in PyTorch (float32), one line each; `cargo bench --bench cochleagram` runs it."""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.nn import functional as F

from hearing import STRIDE, TAPS, N, Positive, Power, bank

arguments = argparse.ArgumentParser()
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--rounds", type=int, default=5)
given = arguments.parse_args()
torch.set_num_threads(given.threads)
filters = torch.from_numpy(bank(50.0, 10_000.0)).float()
t = (np.arange(TAPS) - TAPS / 2) / STRIDE
h = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5)).float()[None, None]
x = (torch.randn(N, generator=torch.Generator().manual_seed(0)) * 0.05).requires_grad_(True)
along = torch.randn(211, 390)
forward, both = [], []
for round_ in range(given.rounds + 1):
    begun = time.perf_counter()
    z = torch.fft.ifft(F.pad(filters * torch.fft.rfft(x), (0, N // 2 - 1)))
    envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
    y = Power.apply(Positive.apply(F.conv1d(envelope[:, None], h, stride=STRIDE)[:, 0], True) + 1e-8, 5.0)
    middle = time.perf_counter()
    (y * along).sum().backward()
    if round_ > 0:
        forward.append(1e3 * (middle - begun))
        both.append(1e3 * (time.perf_counter() - begun))
print(statistics.median(forward))
print(statistics.median(both))
