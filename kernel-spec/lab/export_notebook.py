"""Exports notebooks to self-contained HTML pages. Called by `cargo lab --export` and `metamers-kernel export`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import failures
from failures import LabError, reason

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> int:
    parser = argparse.ArgumentParser(prog="cargo lab --export")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="a folder; or, for one notebook, a file with the extension .html")
    parser.add_argument("--live", action="store_true", help='cells with the tag "live" make their metamers anew')
    arguments = parser.parse_args()
    pages = page_paths(arguments.notebooks, arguments.out)
    for notebook, target in pages.items():
        export(notebook, target, pages, is_live=arguments.live)
    return 0


def page_paths(notebooks: list[Path], out: Path | None) -> dict[Path, Path]:
    """Maps each notebook to its page, by default beside the notebook."""
    if out and out.suffix == ".html":
        if len(notebooks) > 1:
            raise LabError("--out is a file, but there are several notebooks; pass a folder")
        return {real_path(notebooks[0]): out}
    pages: dict[Path, Path] = {}
    for path in notebooks:
        target = (out / path.name if out else path).with_suffix(".html")
        if target in pages.values():
            raise LabError(f"two notebooks would be saved as {target}; export them to different folders")
        pages[real_path(path)] = target
    return pages


def real_path(path: Path) -> Path:
    """Follows links. A loop of links, for which `Path.resolve` fails, is reported when the file is read."""
    return Path(os.path.realpath(path))


def export(notebook: Path, target: Path, pages: Mapping[Path, Path], *, is_live: bool = False) -> None:
    """Exports one notebook to the page `target`; `pages` maps every exported notebook to its page."""
    # Imported here, so that a failure or Ctrl-C while they load is reported like any other.
    import valid_notebook
    from atomic import write_atomic
    from page import render

    content = valid_notebook.read(notebook)
    try:
        page = render(content, notebook, target, pages, is_live=is_live)
    except LabError as error:
        raise LabError(f"{notebook}: {error}") from None
    except Exception as error:
        raise LabError(f"{notebook}: cannot be exported ({reason(error)})") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, page.html)
    except OSError as error:
        raise LabError(f"{target} cannot be written ({reason(error)})") from None
    if page.left_out:
        print(f"note: {notebook}: left out {page.left_out}; pages run no scripts of notebooks", file=sys.stderr)
    print(f"{target}: {len(page.html.encode()) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    failures.run_main(main)
