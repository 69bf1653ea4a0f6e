"""Samples at 20 kHz: reading, resampling, cutting to what is loud."""

from __future__ import annotations

import io
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 20_000
Samples = NDArray[np.float32]


def resample(x: NDArray[np.floating], rate: int) -> Samples:
    """Samples at `rate` Hz as samples at 20 kHz."""
    factor = gcd(rate, RATE)
    return np.asarray(resample_poly(x, RATE // factor, rate // factor), np.float32)


def trim(x: Samples, below: float = 0.02, margin: float = 0.03) -> Samples:
    """Without what lies before and after the part whose 10 ms level exceeds `below` times the highest one."""
    step = RATE // 100
    level = np.sqrt(np.convolve(x * x, np.ones(step) / step, "same"))
    active = np.flatnonzero(level > below * level.max())
    if not len(active):
        return x[:0]
    pad = int(margin * RATE)
    return x[max(0, active[0] - pad) : active[-1] + pad]


def read_wav(data: bytes) -> Samples:
    """Samples at 20 kHz of a WAV file of 8-bit or 16-bit integers, its channels' mean."""
    rate, x = wavfile.read(io.BytesIO(data))
    x = (x.astype(np.float32) - 128) / 128 if x.dtype == np.uint8 else x.astype(np.float32) / 32768
    return resample(x if x.ndim == 1 else x.mean(1), rate)
