"""Evaluates the networks on recorded words: accuracy, and the confusion matrix as a table and an image.

    python evaluate.py plain hann untrained

The words are those of assets/speech, whose speaker is in no training or validation set, and, if the package is
unpacked (packages.py), the numbers of csmash-data by another speaker, which do not ship. Writes
target/words/<name>/results.json (which export.py adds to the network's file) and, for the trained network,
scripts/words/results/confusion.{csv,png}. Each run adds a line to scripts/words/results/looks.txt, since the number of
evaluations on the test set is part of the result.
"""

from __future__ import annotations

import argparse
import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from augment import middle, normalise
from cochleagram import exact
from model import CochCNN9, tensors
from places import CACHE, PACKAGES, ROOT
from sound import read_wav, trim
from vocabulary import CLASSES

NETWORKS = ("plain", "hann", "untrained")
SPEECH = ROOT / "assets" / "speech"
OTHER = PACKAGES / "usr/share/games/csmash/wav"
RESULTS = Path(__file__).with_name("results")
Clips = list[tuple[str, NDArray[np.float32]]]


def shipped() -> Clips:
    """Reads the words that ship."""
    entries = json.loads((SPEECH / "speech.json").read_text())
    return [(entry["word"], read_wav((SPEECH / entry["file"]).read_bytes())) for entry in entries]


def numbers() -> Clips:
    """Reads the other speaker's words that are classes."""
    files = sorted(OTHER.glob("*.wav")) if OTHER.exists() else []
    return [(file.stem, trim(read_wav(file.read_bytes()))) for file in files if file.stem in CLASSES]


def network_input(x: NDArray[np.float32]) -> torch.Tensor:
    """Computes the cochleagram of a recording, centered in 2 s, with mean 0 and rms 0.1."""
    return exact(torch.from_numpy(normalise(middle(x)))).float()


@torch.no_grad()
def ranked_classes(network: CochCNN9, clips: Clips) -> list[list[int]]:
    """Returns the classes of each clip, most likely first, in float32 with the weights that ship."""
    return [network(network_input(x)[None])[0].argsort(descending=True).tolist() for _, x in clips]


def shipped_network(name: str) -> CochCNN9:
    """Loads the best checkpoint with the weights that ship: combined kernels, rounded to float16."""
    network = CochCNN9(len(CLASSES), reduced_aliasing=name == "hann")
    network.load_state_dict(torch.load(CACHE / name / "best.pt", weights_only=True)["network"])
    rounded = {key: value.float() for key, value in tensors(network).items()}
    for conv in (network.conv0, network.conv1):
        conv.weight, conv.window = torch.nn.Parameter(torch.empty_like(conv.kernel())), None
    network.load_state_dict(rounded, strict=False)  # the counters of the batch norms are missing
    return network.eval()


def summary(clips: Clips, ranked: list[list[int]]) -> dict[str, object]:
    """Counts the top-1 and top-5 answers and lists the errors."""
    truth = [CLASSES.index(word) for word, _ in clips]
    wrong = {CLASSES[t]: CLASSES[r[0]] for t, r in zip(truth, ranked, strict=True) if r[0] != t}
    listed = wrong if len(wrong) < len(clips) / 2 else "most"
    return {
        "words": len(clips),
        "top1": sum(r[0] == t for t, r in zip(truth, ranked, strict=True)),
        "top5": sum(t in r[:5] for t, r in zip(truth, ranked, strict=True)),
        "wrong": listed,
    }


def confusion(clips: Clips, ranked: list[list[int]]) -> NDArray[np.int64]:
    """Counts the answers by [spoken class, answered class]."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for (word, _), order in zip(clips, ranked, strict=True):
        counts[CLASSES.index(word), order[0]] += 1
    return counts


def draw(counts: NDArray[np.int64], path: Path) -> None:
    """Draws the counts: rows are spoken words, columns answers; correct answers are blue, errors red."""
    cell, left, top = 11, 92, 92
    size = counts.shape[0] * cell
    image = Image.new("RGB", (left + size + 20, top + size + 20), "white")
    pen = ImageDraw.Draw(image)
    pen.text((left - 6, top - 6), "spoken, answered", fill="black", anchor="rb", font_size=10)
    for i, name in enumerate(CLASSES):
        pen.text((left - 6, top + i * cell + cell / 2), name, fill="black", anchor="rm", font_size=10)
        label = Image.new("RGB", (left, cell), "white")
        ImageDraw.Draw(label).text((2, cell / 2), name, fill="black", anchor="lm", font_size=10)
        image.paste(label.rotate(90, expand=True), (left + i * cell, 0))
        shade = (246, 246, 246) if i % 2 else (236, 236, 236)
        pen.rectangle((left, top + i * cell, left + size, top + (i + 1) * cell - 1), fill=shade)
    for i, j in zip(*np.nonzero(counts), strict=True):
        share = counts[i, j] / counts[i].sum()
        full = np.array([38, 84, 160] if i == j else [200, 40, 40])
        color = tuple(int(c) for c in 255 - (255 - full) * (0.35 + 0.65 * share))
        box = (left + j * cell, top + i * cell, left + (j + 1) * cell - 2, top + (i + 1) * cell - 2)
        pen.rectangle(box, fill=color)
    image.save(path, optimize=True)


def main(names: list[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    groups = {"Allison Smith (assets/speech)": shipped(), "csmash-data": numbers()}
    groups = {group: clips for group, clips in groups.items() if clips}
    for name in names:
        network = shipped_network(name)
        ranked = {group: ranked_classes(network, clips) for group, clips in groups.items()}
        results = {group: summary(clips, ranked[group]) for group, clips in groups.items()}
        (CACHE / name / "results.json").write_text(json.dumps(results, indent=1))
        line = " | ".join(f"{group}: {r['top1']} of {r['words']}, top 5 {r['top5']}" for group, r in results.items())
        print(name, line)
        print(json.dumps({group: r["wrong"] for group, r in results.items()}))
        with (RESULTS / "looks.txt").open("a") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M} {name} {line}\n")
        if name == "plain":
            counts = sum(confusion(clips, ranked[group]) for group, clips in groups.items())
            draw(counts, RESULTS / "confusion.png")
            with (RESULTS / "confusion.csv").open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["spoken \\ answered", *CLASSES])
                writer.writerows([name, *row] for name, row in zip(CLASSES, counts.tolist(), strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NETWORKS)}; by default all")
    chosen = parser.parse_args().names or list(NETWORKS)
    if missing := [CACHE / name / "best.pt" for name in chosen if not (CACHE / name / "best.pt").exists()]:
        parser.error(f"{missing[0]} is missing; train it first (train.py)")
    torch.set_num_threads(1)
    main(chosen)
