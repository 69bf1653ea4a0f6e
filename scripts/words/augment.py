"""A recording of a word as it might be heard: faster or slower, filtered, in a room, in noise, off the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE, SAMPLES = 20_000, 40_000
LENGTH = 65_536  # of the FFT that filters, so that a room's echo does not come round
FREQUENCIES = np.fft.rfftfreq(LENGTH, 1 / RATE)
RMS = 0.1
Samples = NDArray[np.float32]


def speed(x: NDArray[np.floating], factor: float) -> NDArray[np.floating]:
    """Played `factor` times as fast, so higher by the same factor."""
    return np.interp(np.arange(0, len(x) - 1, factor), np.arange(len(x)), x)


def response(rng: np.random.Generator) -> NDArray[np.complex128]:
    """What a microphone, a channel and a room do to each frequency."""
    octaves = np.log2(np.maximum(FREQUENCIES, 30) / 1000)
    decibels = rng.uniform(-2.5, 2.5) * octaves
    for _ in range(3):
        decibels += rng.normal(0, 3) * np.exp(-0.5 * ((octaves - rng.uniform(-3.5, 3.3)) / rng.uniform(0.3, 1.2)) ** 2)
    gain = 10 ** (decibels / 20)
    if rng.random() < 0.6:
        gain = gain / np.sqrt(1 + (FREQUENCIES / np.exp(rng.uniform(np.log(3200), np.log(9500)))) ** 24)
    if rng.random() < 0.4:
        cut = rng.uniform(60, 350)
        gain = gain * np.sqrt((FREQUENCIES / cut) ** 8 / (1 + (FREQUENCIES / cut) ** 8))
    if rng.random() < 0.4:
        return gain * room(rng)
    return gain.astype(np.complex128)


def room(rng: np.random.Generator) -> NDArray[np.complex128]:
    """The direct sound and noise that dies away exponentially, from 3 to 20 dB below it in all."""
    t = np.arange(int(0.6 * RATE)) / RATE
    echo = rng.normal(size=len(t)) * 10 ** (-3 * t / rng.uniform(0.1, 0.7))
    echo[: int(rng.uniform(0.001, 0.01) * RATE)] = 0
    echo *= 10 ** (-rng.uniform(3, 20) / 20) / np.sqrt((echo**2).sum())
    echo[0] = 1
    return np.fft.rfft(echo, LENGTH)


def noise(rng: np.random.Generator, talkers: list[NDArray[np.int16]]) -> NDArray[np.floating]:
    """2 s of coloured noise, of people talking, of noise with the rhythm of speech, or of tones."""
    kind = rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])
    if kind == 0:
        slope = rng.uniform(0, 2)
        bins = rng.normal(size=(2, SAMPLES // 2 + 1)) / np.maximum(np.arange(SAMPLES // 2 + 1), 40) ** (slope / 2)
        return np.fft.irfft(bins[0] + 1j * bins[1], SAMPLES)
    if kind == 1:
        x = np.zeros(SAMPLES)
        for talker in talkers:
            part = talker[:SAMPLES] / 32768
            if rng.random() < 0.5:
                part = part[::-1]
            x += np.roll(np.pad(part, (0, SAMPLES - len(part))), int(rng.integers(SAMPLES)))
        return x
    if kind == 2:
        knots = rng.uniform(0, 1, 12) ** 3
        rhythm = np.interp(np.linspace(0, 11, SAMPLES), np.arange(12), knots)
        return rng.normal(size=SAMPLES) * rhythm
    t = np.arange(SAMPLES) / RATE
    x = np.zeros(SAMPLES)
    for _ in range(int(rng.integers(1, 5))):
        x += rng.uniform(0.2, 1) * np.sin(2 * np.pi * (rng.uniform(60, 2000) * t + rng.uniform(-200, 200) * t**2 / 2))
    return x


def normalise(x: NDArray[np.floating]) -> Samples:
    """Mean 0 and rms 0.1, as the network takes its sounds."""
    x = x - x.mean()
    return np.asarray(x * (RMS / max(float(np.sqrt((x * x).mean())), 1e-9)), np.float32)


def middle(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """2 s with the sound in the middle."""
    x = x[max(0, (len(x) - SAMPLES) // 2) :][:SAMPLES]
    before = (SAMPLES - len(x)) // 2
    return np.pad(x, (before, SAMPLES - len(x) - before))


def heard(word: NDArray[np.int16] | None, rng: np.random.Generator, talkers: list[NDArray[np.int16]]) -> Samples:
    """2 s with the word (None: no word), changed by chance."""
    if word is None:
        x = noise(rng, talkers)
        return normalise(np.fft.irfft(np.fft.rfft(x, LENGTH) * response(rng), LENGTH)[:SAMPLES])
    part = speed(word / 32768, float(np.exp(rng.uniform(-0.16, 0.16))))[: SAMPLES - 2000]
    free = SAMPLES - len(part)
    begin = int(np.clip(free / 2 + rng.uniform(-5000, 5000), 0, free))
    x = np.zeros(LENGTH)
    x[begin : begin + len(part)] = part
    x = np.fft.irfft(np.fft.rfft(x) * response(rng), LENGTH)[:SAMPLES]
    if rng.random() < 0.6:
        back = noise(rng, talkers)
        level = np.sqrt((x[begin : begin + len(part)] ** 2).mean())
        ratio = 10 ** (-rng.uniform(6, 45) / 20)
        x = x + back * (level * ratio / max(float(np.sqrt((back * back).mean())), 1e-9))
    return normalise(x)
