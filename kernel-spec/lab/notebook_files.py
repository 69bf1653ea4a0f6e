"""Reads and writes notebook files without changing their layout."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

# A notebook as JSON (nbformat 4), with its keys in the order of the file.
Notebook = dict[str, Any]


class NotebookError(Exception):
    """The file cannot be read or is not a notebook."""


def report_error(message: object) -> int:
    """Prints an error as cargo does and returns the exit status."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    return 1


def read(path: str | Path) -> Notebook:
    """Reads a notebook of format 4."""
    try:
        notebook = json.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise NotebookError(f"{path}: cannot be opened ({error.strerror})") from None
    except ValueError as error:
        raise NotebookError(f"{path} is not a notebook ({error})") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or notebook.get("nbformat") != 4:
        raise NotebookError(f"{path} is not a notebook of format 4")
    return notebook


def serialize(notebook: Notebook) -> str:
    """Formats a notebook as Jupyter does: indented by one space, without ASCII escapes, with a final newline."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, separators=(",", ": ")) + "\n"


def join_lines(text: str | list[str]) -> str:
    """Joins a multiline string, which a notebook stores as a string or as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def write_atomic(path: str | Path, content: str) -> None:
    """Replaces a file's content atomically and keeps the file's permissions."""
    path = Path(path).resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.close()
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise
