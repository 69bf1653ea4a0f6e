"""Extracts the recorded words from a package, trims them and writes them as WAV files, with speech.json."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from sources import AssetError, Package, Source, sha256

ASTERISK = Source(
    "Debian",
    "asterisk-core-sounds-en-g722",
    "1.6.1-1",
    "asterisk-core-sounds-en-g722_1.6.1-1_all.deb",
    "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
    "CC-BY-SA-3.0",
)
FOLDER = "usr/share/asterisk/sounds/en_US_f_Allison"
SPEAKER = "Allison Smith"
RATE = 20_000
MARGIN = 0.05  # seconds before and after the word
SILENCE = 0.01  # threshold relative to the loudest 10 ms


def _prompts() -> dict[str, str]:
    """Returns the path of each word's prompt, without the extension."""
    digits = "zero one two three four five six seven eight nine ten".split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    days = "sunday monday tuesday wednesday thursday friday saturday".split()
    months = "january february march april may june july august september october november december".split()
    letters = (
        "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec "
        "romeo sierra tango uniform victor whiskey xray yankee zulu"
    ).split()
    paths = {word: f"digits/{number}" for number, word in enumerate(digits)}
    paths |= {word: f"digits/{10 * number}" for number, word in enumerate(tens, 2)}
    paths |= {word: f"digits/{word}" for word in ("hundred", "thousand", "million", "minus", "star", "pound")}
    paths |= {word: f"digits/day-{number}" for number, word in enumerate(days)}
    paths |= {f"{word}_letter" if word in months else word: f"phonetic/{word[0]}_p" for word in letters}
    paths |= {word: f"digits/mon-{number}" for number, word in enumerate(months)}
    paths |= {word: f"digits/{word}" for word in ("today", "tomorrow", "yesterday")}
    paths |= {"pause": "dictate/pause", "record": "dictate/record", "password": "vm-password"}
    return paths | {word: word for word in ("hello", "goodbye", "number")}


def build(folder: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Returns the content of each file by its path in assets/, and the entries of speech.json."""
    package = ASTERISK.fetch(folder)
    files, entries = {}, []
    for name, prompt in sorted(_prompts().items()):
        path = f"{FOLDER}/{prompt}.g722"
        data, seconds = convert(package.read(path))
        files[f"speech/{name}.wav"] = data
        entries.append(
            {
                "file": f"{name}.wav",
                "word": name.removesuffix("_letter"),
                "seconds": round(seconds, 3),
                "speaker": SPEAKER,
                "language": "en-US",
                "licence": ASTERISK.licence,
                "source_package": ASTERISK.label,
                "source_path": path,
                "changes": "decoded from G.722, resampled from 16 to 20 kHz, silence before and after the word cut off",
                "sha256": sha256(data),
            }
        )
    files["speech/speech.json"] = (json.dumps(entries, indent=1) + "\n").encode()
    files["licences/asterisk-core-sounds.txt"] = _licence(package)
    return files, entries


def _licence(package: Package) -> bytes:
    return package.read("usr/share/doc/asterisk-core-sounds-en-g722/copyright")


def convert(data: bytes) -> tuple[bytes, float]:
    """Converts a G.722 file to a trimmed 16-bit WAV file at 20 kHz; returns it with its duration in seconds."""
    samples = trim(resample(decode(data)))
    peak = np.abs(samples).max()
    if not 0.02 < peak < 1.0:
        raise AssetError(f"the peak is {peak:.3f}: the recording is silent or clipped")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return out.getvalue(), len(samples) / RATE


def decode(data: bytes) -> NDArray[np.float64]:
    """Decodes a G.722 file, which has no header, to samples at 16 kHz."""
    with av.open(io.BytesIO(data), format="g722") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    if rate != 16_000:
        raise AssetError(f"the decoder reports {rate} Hz, not 16000")
    return np.concatenate(frames, axis=1)[0].astype(np.float64) / 32768


def resample(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resamples from 16 to 20 kHz in the frequency domain: the spectrum is zero above 8 kHz."""
    padded = np.pad(x, (800, 800 + -len(x) % 4))
    count = len(padded) * RATE // 16_000
    spectrum = np.zeros(count // 2 + 1, np.complex128)
    original = np.fft.rfft(padded)
    spectrum[: len(original) - 1] = original[:-1]  # without the bin at 8 kHz
    return np.fft.irfft(spectrum, count) * (count / len(padded))


def trim(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trims silence before and after the word and leaves a margin that fades in and out."""
    x = x - x.mean()
    step = RATE // 100
    level = np.sqrt(np.convolve(x * x, np.ones(step) / step, "same"))
    active = np.flatnonzero(level > SILENCE * level.max())
    margin = int(MARGIN * RATE)
    part = x[max(0, active[0] - margin) : active[-1] + margin].copy()
    fade = np.sin(np.linspace(0, np.pi / 2, margin // 2)) ** 2
    part[: len(fade)] *= fade
    part[-len(fade) :] *= fade[::-1]
    return part
