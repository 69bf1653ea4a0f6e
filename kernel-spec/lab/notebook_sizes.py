"""Prints the size of notebooks and of their outputs. Called by `cargo lab --sizes`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import failures
import notebook_files
from notebook_files import Notebook, join_lines

# Larger notebooks load slowly in a browser and cannot be reviewed; tests/notebooks.rs checks the committed ones.
MAX_BYTES = 3_000_000
# The number of outputs that a report lists.
MAX_LISTED = 3


class Representation(NamedTuple):
    """The representation of an output in one MIME type."""

    cell: int
    first_line: str
    mime: str
    size: int


def kilobytes(size: int) -> str:
    return f"{size / 1e3:,.0f} kB"


def json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def representations(notebook: Notebook) -> Iterator[Representation]:
    """Yields the representations of all outputs; cells are numbered from 1."""
    for number, cell in enumerate(notebook["cells"], 1):
        first_line = next((line for line in join_lines(cell.get("source", "")).splitlines() if line.strip()), "")
        for output in cell.get("outputs", []):
            kind = output.get("output_type")
            bundle = output.get("data", {}) if kind in ("display_data", "execute_result") else {kind: output}
            for mime, value in bundle.items():
                yield Representation(number, first_line, mime, json_size(value))


def report(path: str) -> tuple[list[str], bool]:
    """Returns the report on a notebook as lines, and whether the notebook is small enough."""
    data = notebook_files.read_bytes(path)
    notebook, total = notebook_files.parse(data, path), len(data)
    found = list(representations(notebook))
    in_outputs = sum(entry.size for entry in found)
    limit = f"{MAX_BYTES / 1e6:g} MB"
    relative = f"over {limit}" if total >= MAX_BYTES else f"{total / MAX_BYTES:.0%} of {limit}"
    lines = [f"{path}: {kilobytes(total)}, {relative}"]
    count = sum(len(cell.get("outputs", [])) for cell in notebook["cells"])
    lines.append(
        f"  {len(notebook['cells'])} cells {kilobytes(total - in_outputs)}, {count} outputs {kilobytes(in_outputs)}"
    )
    by_mime: Counter[str] = Counter()
    for entry in found:
        by_mime[entry.mime] += entry.size
    lines += [f"  {kilobytes(size):>12}  {mime}" for mime, size in by_mime.most_common()]
    largest = sorted(found, key=lambda entry: -entry.size)[:MAX_LISTED]
    if largest:
        lines.append("  largest:")
    for cell, line, mime, size in largest:
        shortened = line if len(line) <= 60 else line[:59] + "…"
        lines.append(f"  {kilobytes(size):>12}  cell {cell}, {mime}: {shortened}")
    return lines, total < MAX_BYTES


def main() -> int:
    paths = sys.argv[1:]
    reports = [report(path) for path in paths]
    for lines, _ in reports:
        print("\n".join(lines))
    too_large = [path for path, (_, small) in zip(paths, reports) if not small]
    if too_large:
        raise failures.LabError(f"over {MAX_BYTES / 1e6:g} MB: {', '.join(too_large)}")
    return 0


if __name__ == "__main__":
    failures.run_main(main)
