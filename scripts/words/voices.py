"""Make the synthetic speech: every word in many voices, a file of recordings for each voice.

    python voices.py [--engine kokoro] [--seed 1]

Writes target/words/voices/<engine>-<voice>.npz (word -> int16 samples at 20 kHz, without silence around it). A file
that exists is kept, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import zip_longest

import engines
import numpy as np
from places import PACKAGES, VOICES
from sound import Samples, trim
from vocabulary import CLASSES, spoken

WORDS = CLASSES[1:]

Reader = Callable[[str], Samples]
ENGLISH = ["en-us", "en-us", "en-us-nyc", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"]
FOREIGN = "tr"  # an accent: another language's sounds for English words
ODD = {"whisper", "whisperf", "croak", "klatt5", "UniRobot", "robosoft8", "Mr", "Demonic", "Alien", "Whisper"}


def espeak_voices(rng: np.random.Generator, count: int = 110) -> Iterator[tuple[str, Reader]]:
    """Accents, variants, pitches and speeds of espeak-ng by chance."""
    variants = [v for v in engines.espeak_variants() if v not in ODD]
    for i in range(count):
        accent = FOREIGN if i % 10 == 9 else ENGLISH[i % len(ENGLISH)]
        variant = variants[int(rng.integers(len(variants)))]
        pitch, speed = int(rng.integers(25, 75)), int(rng.integers(110, 200))

        def read(word: str, v: str = f"{accent}+{variant}", p: int = pitch, s: int = speed) -> Samples:
            return engines.espeak(spoken(word), v, p, s)

        yield f"{i:03}-{accent}+{variant}", read


def flite_voices(rng: np.random.Generator) -> Iterator[tuple[str, Reader]]:
    """flite's five voices at several speeds and pitches."""
    means = {"kal": 105, "kal16": 105, "awb": 130, "rms": 105, "slt": 175}
    for take in range(4):
        for voice, mean in means.items():
            stretch, pitch = float(rng.uniform(0.8, 1.35)), int(mean * rng.uniform(0.85, 1.2))

            def read(word: str, v: str = voice, s: float = stretch, p: int = pitch) -> Samples:
                return engines.flite(spoken(word), v, s, p)

            yield f"{voice}-{take}", read


def festival_voices(rng: np.random.Generator) -> Iterator[tuple[str, Reader]]:
    """Three voices of Festival at several speeds."""
    for take in range(3):
        for voice in ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone"):
            stretch = float(rng.uniform(0.85, 1.3))
            made: dict[str, Samples] = {}

            def read(word: str, v: str = voice, s: float = stretch, made: dict[str, Samples] = made) -> Samples:
                if not made:
                    made.update(zip(WORDS, engines.festival([spoken(w) for w in WORDS], f"voice_{v}", s), strict=True))
                return made[word]

            yield f"{voice}-{take}", read


def hibari_voices(rng: np.random.Generator) -> Iterator[tuple[str, Reader]]:
    """The voice that hibari-tts carries, several takes."""
    for take in range(6):
        speed = float(rng.uniform(0.75, 1.2))
        end = ".,?!"[take % 4]

        def read(word: str, t: int = take, s: float = speed, e: str = end) -> Samples:
            return engines.hibari(engines.phonemes(word, PACKAGES, False, t) + e, PACKAGES, t, s)

        yield f"heart-{take}", read


def kokoro_voices(rng: np.random.Generator) -> Iterator[tuple[str, Reader]]:
    """Kokoro's 28 English voices, and five of its other languages' voices with English phonemes (an accent)."""
    names = sorted(path.stem for path in (PACKAGES / "package/voices").glob("*.bin"))
    groups = [[n for n in names if n[:2] == group] for group in ("am", "bf", "af", "bm")]
    plan = [n for turn in zip_longest(*groups) for n in turn if n]  # so that any beginning of the list is diverse
    plan += [n for n in names if n[0] not in "abjz"][:5]
    for take, voice in enumerate(plan):
        speed, end = float(rng.uniform(0.7, 1.15)), ".,?!"[int(rng.choice(4, p=[0.6, 0.2, 0.1, 0.1]))]

        def read(word: str, v: str = voice, s: float = speed, e: str = end, t: int = take) -> Samples:
            return engines.kokoro(engines.phonemes(word, PACKAGES, v[0] == "b", t) + e, PACKAGES, v, s)

        yield f"{take:03}-{voice}", read


ENGINES = {
    "espeak": espeak_voices,
    "flite": flite_voices,
    "festival": festival_voices,
    "hibari": hibari_voices,
    "kokoro": kokoro_voices,
}


def make(engine: str, seed: int, share: tuple[int, int]) -> None:
    """Make the files of one engine that are missing; of n processes the i-th makes every n-th."""
    VOICES.mkdir(parents=True, exist_ok=True)
    for index, (name, read) in enumerate(ENGINES[engine](np.random.default_rng(seed))):
        path = VOICES / f"{engine}-{name}.npz"
        if path.exists() or index % share[1] != share[0]:
            continue
        recordings = {}
        for word in WORDS:
            x = trim(read(word))
            if len(x):
                recordings[word] = np.round(32000 * x / np.abs(x).max()).astype(np.int16)
        temporary = path.with_suffix(".part.npz")
        np.savez(temporary, **recordings)
        temporary.replace(path)
        print(path.name, len(recordings), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="for N processes")
    arguments = parser.parse_args()
    for chosen in arguments.engine or ENGINES:
        make(chosen, arguments.seed, tuple(arguments.share))
