"""Notebooks and pages as files: read and written whole, in the layout that Jupyter gives them."""

import json
import os
import sys
import tempfile
from pathlib import Path


class NoNotebook(Exception):
    """The file cannot be read, or is none."""


def complain(text):
    """Says what went wrong, as cargo does; the status to end with."""
    print(f"error: {text}", file=sys.stderr, flush=True)
    return 1


def read(path):
    """The notebook as it is, with its keys in their order."""
    try:
        notebook = json.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise NoNotebook(f"{path}: cannot be opened ({error.strerror})") from None
    except ValueError as error:
        raise NoNotebook(f"{path} is not a notebook ({error})") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or notebook.get("nbformat") != 4:
        raise NoNotebook(f"{path} is not a notebook of format 4")
    return notebook


def text(notebook):
    """The notebook as Jupyter writes it: indented by one, letters as they are, a newline at the end."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, separators=(",", ": ")) + "\n"


def joined(value):
    """What a notebook stores as a string or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def write(path, content):
    """All of it or nothing, as readable as the file before."""
    path = Path(path).resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    file = tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".tmp", delete=False
    )
    try:
        with file:
            file.write(content)
        os.chmod(file.name, mode)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise
