"""Writes the networks that ship: assets/networks/cochcnn_words{,_hann,_untrained}.safetensors.

    python export.py plain hann untrained

Each comes from its checkpoint target/words/<name>/best.pt; the metadata contains the training settings and the
accuracy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "assets"))
import safetensors_file
from model import HIDDEN, STAGES, WIDTHS, CochCNN9, tensors
from places import CACHE, ROOT
from sources import write_atomic
from vocabulary import CLASSES

FILES = {"plain": "cochcnn_words", "hann": "cochcnn_words_hann", "untrained": "cochcnn_words_untrained"}
NETWORKS = ROOT / "assets" / "networks"
# The programs whose hash the networks contain.
RECIPE = (
    "vocabulary.py",
    "sound.py",
    "engines.py",
    "voices.py",
    "augment.py",
    "cochleagram.py",
    "data.py",
    "model.py",
    "train.py",
)


def recipe_sha256() -> str:
    """Computes the SHA-256 of the programs that generate the data and train."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in RECIPE if (here / name).exists())).hexdigest()


def export(name: str) -> None:
    """Writes one network."""
    folder = CACHE / name
    if not (folder / "best.pt").exists():
        sys.exit(f"error: {folder / 'best.pt'} is missing; train it first: python train.py {name}")
    checkpoint = torch.load(folder / "best.pt", weights_only=True)
    network = CochCNN9(len(CLASSES), reduced_aliasing=name == "hann")
    network.load_state_dict(checkpoint["network"])
    metadata = {
        "architecture": "CochCNN9",
        "variant": name,
        "widths": json.dumps([*WIDTHS, HIDDEN]),
        "pool": "hann 8 taps, stride 2" if name == "hann" else "max 2x5, stride 2",
        "stages": json.dumps(STAGES),
        "classes": json.dumps(CLASSES),
        "input": "cochleagram of 2023, 211 x 390, power 0.3, from 40000 samples at 20 kHz, mean 0, rms 0.1",
        "padding": "TensorFlow SAME",
        "batch_norm_epsilon": "1e-05",
        "licence": "MIT OR Apache-2.0",
        "recipe_sha256": recipe_sha256(),
        **{key: str(value) for key, value in checkpoint.get("facts", {}).items()},
    }
    results = folder / "results.json"
    if results.exists():
        groups = json.loads(results.read_text()).values()
        right, words = (sum(group[key] for group in groups) for key in ("top1", "words"))
        metadata["test_accuracy"] = f"{right / words:.4f} ({right} of {words} recorded words)"
        metadata["results"] = json.dumps(json.loads(results.read_text()), separators=(",", ":"))
    data = safetensors_file.encode({k: v.numpy() for k, v in tensors(network).items()}, metadata)
    path = NETWORKS / f"{FILES[name]}.safetensors"
    write_atomic(path, data)
    print(path.name, len(data), "bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(FILES)}; by default all")
    chosen = parser.parse_args().names or list(FILES)
    if unknown := [name for name in chosen if name not in FILES]:
        parser.error(f"unknown network {unknown[0]}; the networks are {', '.join(FILES)}")
    for name in chosen:
        export(name)
