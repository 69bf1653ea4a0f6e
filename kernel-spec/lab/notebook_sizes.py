"""Says how large notebooks are and what in them is. Called by `cargo lab --sizes`."""

import json
import os
import signal
import sys
from collections import Counter

import notebook_files
from notebook_files import NoNotebook, complain, joined

# What a person waits for in a browser, and what a pull request can be read with; tests/notebooks.rs holds the committed ones to it.
LIMIT = 3_000_000
LARGEST = 3


def kilobytes(size):
    return f"{size / 1e3:,.0f} kB"


def size(value):
    return len(json.dumps(value, ensure_ascii=False).encode())


def outputs(notebook):
    """The forms of all outputs as (number of the cell from 1, its first line, MIME type, bytes)."""
    for number, cell in enumerate(notebook["cells"], 1):
        first = next((line for line in joined(cell.get("source", "")).splitlines() if line.strip()), "")
        for output in cell.get("outputs", []):
            kind = output.get("output_type")
            forms = output.get("data", {}) if kind in ("display_data", "execute_result") else {kind: output}
            for mime, value in forms.items():
                yield number, first, mime, size(value)


def report(path):
    """The lines about one notebook, and whether it is small enough."""
    notebook = notebook_files.read(path)
    total = os.path.getsize(path)
    found = list(outputs(notebook))
    shown = sum(entry[3] for entry in found)
    words = f"over {LIMIT / 1e6:g} MB" if total >= LIMIT else f"{total / LIMIT:.0%} of {LIMIT / 1e6:g} MB"
    lines = [f"{path}: {kilobytes(total)}, {words}"]
    count = sum(len(cell.get("outputs", [])) for cell in notebook["cells"])
    lines.append(f"  {len(notebook['cells'])} cells {kilobytes(total - shown)}, {count} outputs {kilobytes(shown)}")
    by_mime = Counter()
    for _, _, mime, bytes_ in found:
        by_mime[mime] += bytes_
    lines += [f"  {kilobytes(bytes_):>12}  {mime}" for mime, bytes_ in by_mime.most_common()]
    largest = sorted(found, key=lambda entry: -entry[3])[:LARGEST]
    if largest:
        lines.append("  largest:")
    for number, first, mime, bytes_ in largest:
        first = first if len(first) <= 60 else first[:59] + "…"
        lines.append(f"  {kilobytes(bytes_):>12}  cell {number}, {mime}: {first}")
    return lines, total < LIMIT


def main(paths):
    try:
        reports = [report(path) for path in paths]
    except NoNotebook as error:
        return complain(error)
    for lines, _ in reports:
        print("\n".join(lines))
    too_large = [path for path, (_, small) in zip(paths, reports) if not small]
    return complain(f"over {LIMIT / 1e6:g} MB: {', '.join(too_large)}") if too_large else 0


if __name__ == "__main__":
    # A reader that has seen enough, as `head`, ends this without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
