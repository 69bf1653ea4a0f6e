"""The training set: cochleagrams of words as they might be heard, in files of 1024 that training reads as they appear.

    python data.py --shards 20 [--seed 1]

Writes target/words/data/train-000.npz ... and validation.npz (float16 cochleagrams, classes). A file that exists is
kept. The validation set is made of Kokoro's held-out voices.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from augment import heard
from cochleagram import Cochleagram
from numpy.typing import NDArray
from places import CACHE, VALIDATION_KOKORO, VOICES
from vocabulary import CLASSES

DATA = CACHE / "data"
SHARD = 1024
NO_WORD_SHARE = 0.03
# How often an engine is drawn: the voices that sound most like people most often.
SHARES = {"kokoro": 0.60, "hibari": 0.07, "flite": 0.10, "festival": 0.05, "espeak": 0.18}
Recordings = dict[str, NDArray[np.int16]]


def is_validation(path: Path) -> bool:
    """Whether a file is of a voice that is held out."""
    return path.name.startswith("kokoro") and path.stem.split("-", 2)[2] in VALIDATION_KOKORO


def load(paths: list[Path]) -> list[Recordings]:
    """The recordings of some voices."""
    voices = []
    for path in paths:
        with np.load(path) as file:
            voices.append({word: file[word] for word in file.files})
    return voices


def paths(validation: bool) -> list[Path]:
    """The voices' files, without those that are being written."""
    found = sorted(p for p in VOICES.glob("*.npz") if not p.name.endswith(".part.npz"))
    return [p for p in found if is_validation(p) == validation]


def draw(voices: dict[str, list[Recordings]], rng: np.random.Generator) -> tuple[NDArray[np.float32], int]:
    """A clip and its class."""
    names = [name for name in SHARES if voices.get(name)]
    weights = np.array([SHARES[name] for name in names])

    def voice() -> Recordings:
        engine = voices[names[int(rng.choice(len(names), p=weights / weights.sum()))]]
        return engine[int(rng.integers(len(engine)))]

    talkers = [list(voice().values())[int(rng.integers(70))] for _ in range(4)]
    if rng.random() < NO_WORD_SHARE:
        return heard(None, rng, talkers), 0
    while True:
        index = int(rng.integers(1, len(CLASSES)))
        word = voice().get(CLASSES[index])
        if word is not None:
            return heard(word, rng, talkers), index


def save(path: Path, clips: list[tuple[NDArray[np.float32], int]]) -> None:
    """Their cochleagrams, in one file."""
    cochleagram = Cochleagram()
    pictures = []
    for at in range(0, len(clips), 16):
        batch = torch.tensor(np.stack([clip for clip, _ in clips[at : at + 16]]))
        pictures.append(cochleagram(batch).half().numpy())
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, x=np.concatenate(pictures), y=np.array([index for _, index in clips], np.int64))
    temporary.replace(path)
    print(path.name, len(clips), flush=True)


def main() -> None:
    """Make the files that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    DATA.mkdir(parents=True, exist_ok=True)
    held_out = load(paths(validation=True))
    target = DATA / "validation.npz"
    if held_out and not (target.exists() and len(np.load(target)["y"]) == sum(map(len, held_out))):
        rng = np.random.default_rng([arguments.seed, 10**6])
        every = [list(voice.values()) for voice in held_out]
        clips = []
        for voice in held_out:
            for word, recording in voice.items():
                talkers = [every[int(rng.integers(len(every)))][int(rng.integers(70))] for _ in range(4)]
                clips.append((heard(recording, rng, talkers), CLASSES.index(word)))
        save(target, clips)
    for shard in range(arguments.first, arguments.shards):
        path = DATA / f"train-{shard:03}.npz"
        if path.exists():
            continue
        chosen = paths(validation=False)
        voices = {name: load([p for p in chosen if p.name.startswith(name)]) for name in SHARES}
        rng = np.random.default_rng([arguments.seed, shard])
        save(path, [draw(voices, rng) for _ in range(SHARD)])


if __name__ == "__main__":
    main()
