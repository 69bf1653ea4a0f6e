"""Cells of a page that make their metamers anew, in the browser, by the library as WebAssembly."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import struct
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bs4 import Comment

from failures import LabError

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from nbformat import NotebookNode

PROJECT = Path(__file__).resolve().parents[3]
ASSETS = PROJECT / "assets"
PARTS = PROJECT / "src/explorer/page"
# The tag of a cell that becomes live.
TAG = "live"
# The key of the metadata of a metamer's output.
KEY = "metamers"
# The key of the metadata of a live cell, which the template reads.
CELL_KEY = "metamers_live"
FIELDS = ("kind", "network", "weights_sha256", "stage", "recipe", "seed", "name", "original")
SCRIPTS = ["live_root.js", "engine.js", "stimulus.js", "curve.js", "synthesis.js", "explorer.js", "live.js"]
# Short enough that handing a chunk to the worker takes a few milliseconds.
CHUNK = 1 << 18
WELL_MATCHED_DB = 20
MARK = "metamers: the place of the live panel"


class LiveError(LabError):
    """A notebook whose cells cannot become live."""


class LiveCells(NamedTuple):
    """The metamers of the marked cells, and the network that makes them."""

    network: str
    kind: str
    cells: list[dict[str, Any]]


def clear(notebook: NotebookNode) -> None:
    """Removes the marks that `prepare` sets. A notebook may come with some, and they become part of the page."""
    for cell in notebook.cells:
        cell.metadata.pop(CELL_KEY, None)


def prepare(notebook: NotebookNode) -> LiveCells:
    """Marks the outputs of the cells with the tag `live`, behind which the page offers to make the metamer anew."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or TAG not in cell.metadata.get("tags", []):
            continue
        entries = [output.metadata[KEY] for output in cell.outputs if KEY in output.get("metadata", {})]
        # An explorer has the same key, and below it the name of the page that takes its place.
        made = [checked(entry, number) for entry in entries if not (isinstance(entry, dict) and "page" in entry)]
        if not made:
            raise LiveError(
                f'cell {number} has the tag "{TAG}" but shows no metamer that a page can make: from noise, by an '
                "unchanged preset; run the notebook again, and end the cell with the metamer"
            )
        cell.metadata[CELL_KEY] = [len(found) + i for i in range(len(made))]
        found += made
    if not found:
        raise LiveError(
            f'no cell has the tag "{TAG}": add it, with the gears at the right of JupyterLab, to each cell that shows '
            "a metamer to be made anew"
        )
    networks = {entry["weights_sha256"]: entry["network"] for entry in found}
    if len(networks) > 1:
        names = " and ".join(sorted(networks.values()))
        raise LiveError(f"its live cells are of {names}; a page holds one network, so mark cells of one")
    (weights,) = networks
    return LiveCells(shipped_network(weights, networks[weights]), found[0]["kind"], found)


def checked(entry: Any, number: int) -> dict[str, str]:
    """Returns the metadata of a metamer if it is complete."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in FIELDS):
        raise LiveError(f"the metamer of cell {number} is damaged; run the notebook again")
    try:
        base64.b64decode(entry["original"], validate=True)
    except ValueError:
        raise LiveError(f"the original of the metamer of cell {number} is not valid base64; run it again") from None
    return {name: entry[name] for name in FIELDS}


def shipped_network(weights_sha256: str, name: str) -> str:
    """Returns the file name of a shipped network, without extension."""
    manifest = json.loads((ASSETS / "manifest.json").read_text(encoding="utf-8"))
    for path, entry in manifest.items():
        if path.startswith("networks/") and entry["sha256"] == weights_sha256:
            return Path(path).stem
    raise LiveError(f"{name} with these weights does not ship with the project, so a browser cannot load it")


def embed(name: str, data: bytes, *, compressed: bool = False) -> str:
    """Formats a file as script elements that no browser runs, as src/explorer/content.rs does."""
    packed = data if compressed else gzip.compress(data, compresslevel=6, mtime=0)
    is_gzip = compressed or len(packed) < len(data)
    text = base64.b64encode(packed if is_gzip else data).decode()
    chunks = (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))
    flag = "yes" if is_gzip else "no"
    return "".join(
        f'<script type="text/plain" data-file="{name}" data-gzip="{flag}">{chunk}</script>\n' for chunk in chunks
    )


def script() -> str:
    """The script of the page."""
    return '"use strict";\n' + "".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS)


def digest() -> str:
    """The SHA-256 of the script, as a policy names it."""
    return base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()


def offer(page: BeautifulSoup) -> None:
    """Puts a button behind the outputs of each live cell, and the place of the panel at the end of the page.

    The buttons are hidden until the script shows them: without scripts, the page is as it was.
    """
    for cell in page.select("[data-live]"):
        for index in cell["data-live"].split():
            paragraph = page.new_tag("p", **{"class": "live-offer", "hidden": "", "data-cell": index})
            button = page.new_tag("button", type="button")
            button.string = "Make this metamer here"
            paragraph.append(button)
            cell.append(paragraph)
        del cell["data-live"]
    page.main.append(Comment(MARK))


def sources(live: LiveCells) -> str:
    """The list of sources: the weights, and the originals that have the name of a shipped photo or recording."""
    with (ASSETS / f"networks/{live.network}.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        weights = json.loads(file.read(length))["__metadata__"]
    origin = weights.get("source_package", "trained by the metamers developers")
    statements = [(f"Weights of {weights['architecture']}", weights.get("copyright"), weights["licence"], origin)]
    folder = "photos" if live.kind == "image" else "speech"
    names = {entry["name"] for entry in live.cells}
    for entry in json.loads((ASSETS / folder / f"{folder}.json").read_text(encoding="utf-8")):
        name = Path(entry["file"]).stem
        if name in names:
            author = entry.get("author") or entry.get("speaker")
            origin = entry.get("original") or entry["source_package"]
            statements.append((name.replace("_", " "), author, entry["licence"], origin))
    entries = [(name, "; ".join(filter(None, parts))) for name, *parts in statements]
    return "\n".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in entries)


def fill(html: str, live: LiveCells) -> str:
    """Adds the panel, the module, the network and the originals to a page."""
    embedded = [
        embed(f"module-{name}", (ASSETS / f"web/metamers-{name}.wasm.gz").read_bytes(), compressed=True)
        for name in ("relaxed", "fixed")
    ]
    provided = [f"networks/{live.network}.safetensors"]
    if live.kind == "image":
        provided.append("networks/imagenet_classes.json")
    if (ASSETS / f"nulls/{live.network}.json").exists():
        provided.append(f"nulls/{live.network}.json")
    embedded += [embed(f"assets/{path}", (ASSETS / path).read_bytes()) for path in provided]
    originals, cells = [], []
    for entry in live.cells:
        if entry["original"] not in originals:
            originals.append(entry["original"])
        cells.append(
            {key: entry[key] for key in ("stage", "seed", "recipe")} | {"original": originals.index(entry["original"])}
        )
    names = {entry["original"]: entry["name"] for entry in live.cells}
    choices = []
    for index, original in enumerate(originals):
        data = base64.b64decode(original, validate=True)
        embedded.append(embed(f"original-{index}", data))
        thumbnail = f"data:image/png;base64,{original}" if live.kind == "image" else None
        choices.append({"name": names[original].replace("_", " "), "file": f"original-{index}", "thumbnail": thumbnail})
    content = {
        "kind": live.kind,
        "network": live.network,
        "provided": [f"assets/{path}" for path in provided],
        "originals": choices,
        "cells": cells,
        "stage": cells[0]["stage"],
        "recipe": cells[0]["recipe"],
        "seed": cells[0]["seed"],
        "until": WELL_MATCHED_DB,
    }
    # Escaped, `<` cannot end the script or start a comment.
    as_json = json.dumps(content).replace("<", "\\u003c")
    part = {name: (PARTS / name).read_text(encoding="utf-8") for name in ("panel.html", "page.css", "worker.js")}
    part["panel.html"] = part["panel.html"].replace("<!-- sources -->", sources(live))
    panel = f"""<section id="metamers-panel" aria-label="make a metamer" hidden></section>
<template id="metamers-panel-content"><style>{part["page.css"]}</style>{part["panel.html"]}</template>
{"".join(embedded)}<script type="text/plain" id="worker-source">{part["worker.js"]}</script>
<script type="application/json" id="content">{as_json}</script>
<script>{script()}</script>
"""
    before, mark, after = html.rpartition(f"<!--{MARK}-->")
    if not mark:
        raise LiveError("has no place for the panel")
    return before + panel + after
