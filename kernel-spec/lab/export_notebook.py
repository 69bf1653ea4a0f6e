"""Makes pages of notebooks, each complete in one file. Called by `cargo lab --export` and `metamers-kernel export`."""

import argparse
import sys
from pathlib import Path

import nbformat

import notebook_files
from notebook_files import complain
from page import Unreadable, page_of


def main():
    parser = argparse.ArgumentParser(prog="cargo lab --export")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="a folder; or for one notebook a file that ends with .html")
    arguments = parser.parse_args()
    pages = targets(arguments.notebooks, arguments.out)
    if pages is None:
        return complain("--out names one file, and there are several notebooks; name a folder")
    for notebook, target in pages.items():
        try:
            content = nbformat.read(notebook, as_version=4)
        except Exception as error:
            return complain(f"{notebook} is not a notebook ({error})")
        try:
            html = page_of(content, notebook, target, pages)
            target.parent.mkdir(parents=True, exist_ok=True)
            notebook_files.write(target, html)
        except Unreadable as error:
            return complain(f"{notebook}: {error}")
        except OSError as error:
            return complain(f"{target} cannot be written ({error.strerror})")
        print(f"{target}: {len(html.encode()) / 1e6:.1f} MB")
    return 0


def targets(notebooks, out):
    """Where each notebook's page goes: beside it, if nothing is said."""
    if out and out.suffix == ".html":
        return {notebooks[0].resolve(): out} if len(notebooks) == 1 else None
    return {path.resolve(): (out / path.name if out else path).with_suffix(".html") for path in notebooks}


if __name__ == "__main__":
    sys.exit(main())
