"""Times PyTorch's cochleagram (float32), forward and with its gradient, for `cargo bench --bench cochleagram`.

Prints the median milliseconds of both, one per line.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.nn import functional as F

from hearing import STRIDE, TAPS, N, Positive, Power, filter_bank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    filters = torch.from_numpy(filter_bank(50.0, 10_000.0)).float()
    t = (np.arange(TAPS) - TAPS / 2) / STRIDE
    low_pass = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5)).float()[None, None]
    x = (torch.randn(N, generator=torch.Generator().manual_seed(0)) * 0.05).requires_grad_(True)
    cotangent = torch.randn(211, 390)
    forward, both = [], []
    for index in range(arguments.rounds + 1):
        start = time.perf_counter()
        z = torch.fft.ifft(F.pad(filters * torch.fft.rfft(x), (0, N // 2 - 1)))
        envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
        low = F.conv1d(envelope[:, None], low_pass, stride=STRIDE)[:, 0]
        y = Power.apply(Positive.apply(low, True) + 1e-8, 5.0)
        middle = time.perf_counter()
        (y * cotangent).sum().backward()
        if index > 0:
            forward.append(1e3 * (middle - start))
            both.append(1e3 * (time.perf_counter() - start))
    print(statistics.median(forward))
    print(statistics.median(both))


if __name__ == "__main__":
    main()
