"""Removes outputs and execution counts from notebooks and leaves the rest unchanged. Called by `cargo lab --strip`."""

from __future__ import annotations

import sys
from pathlib import Path

import notebook_files
from notebook_files import Notebook, NotebookError, report_error


def strip(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return notebook


def main(paths: list[str]) -> int:
    # Read all notebooks first, so that an invalid one leaves the others unchanged.
    try:
        texts = [(path, notebook_files.serialize(strip(notebook_files.read(path)))) for path in paths]
    except NotebookError as error:
        return report_error(error)
    for path, text in texts:
        before = Path(path).read_bytes()
        if before == text.encode():
            print(f"{path}: has no outputs")
            continue
        try:
            notebook_files.write_atomic(path, text)
        except OSError as error:
            return report_error(f"{path} cannot be written ({error.strerror})")
        print(f"{path}: {len(before) / 1e6:.2f} MB, now {len(text.encode()) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
