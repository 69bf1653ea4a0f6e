"""Removes outputs and execution counts from notebooks and leaves the rest unchanged. Called by `cargo lab --strip`."""

from __future__ import annotations

import sys

import failures


def main() -> int:
    import notebook_files
    from atomic import write_atomic

    # Read all notebooks first, so that an invalid one leaves the others unchanged.
    contents = []
    for path in sys.argv[1:]:
        before = notebook_files.read_bytes(path)
        contents.append((path, before, notebook_files.serialize(strip(notebook_files.parse(before, path)))))
    for path, before, text in contents:
        if before == text.encode():
            print(f"{path}: has no outputs")
            continue
        try:
            write_atomic(path, text)
        except OSError as error:
            raise failures.LabError(f"{path} cannot be written ({failures.reason(error)})") from None
        print(f"{path}: {len(before) / 1e6:.2f} MB, now {len(text.encode()) / 1e6:.2f} MB")
    return 0


def strip(notebook: dict) -> dict:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return notebook


if __name__ == "__main__":
    failures.run_main(main)
