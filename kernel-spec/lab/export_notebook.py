"""Exports notebooks to self-contained HTML pages. Called by `cargo lab --export` and `metamers-kernel export`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat

import notebook_files
from notebook_files import report_error
from page import MissingFileError, render


def main() -> int:
    parser = argparse.ArgumentParser(prog="cargo lab --export")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="a folder; or, for one notebook, a file with the extension .html")
    arguments = parser.parse_args()
    pages = page_paths(arguments.notebooks, arguments.out)
    if pages is None:
        return report_error("--out is a file, but there are several notebooks; pass a folder")
    for notebook, target in pages.items():
        try:
            content = nbformat.read(notebook, as_version=4)
        except Exception as error:
            return report_error(f"{notebook} is not a notebook ({error})")
        try:
            html = render(content, notebook, target, pages)
            target.parent.mkdir(parents=True, exist_ok=True)
            notebook_files.write_atomic(target, html)
        except MissingFileError as error:
            return report_error(f"{notebook}: {error}")
        except OSError as error:
            return report_error(f"{target} cannot be written ({error.strerror})")
        print(f"{target}: {len(html.encode()) / 1e6:.1f} MB")
    return 0


def page_paths(notebooks: list[Path], out: Path | None) -> dict[Path, Path] | None:
    """Maps each notebook to its page, by default beside the notebook; None if several notebooks share one file."""
    if out and out.suffix == ".html":
        return {notebooks[0].resolve(): out} if len(notebooks) == 1 else None
    return {path.resolve(): (out / path.name if out else path).with_suffix(".html") for path in notebooks}


if __name__ == "__main__":
    sys.exit(main())
