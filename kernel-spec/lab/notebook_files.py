"""Reads and writes notebook files without changing their layout."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from failures import LabError, reason

# A notebook as JSON (nbformat 4), with its keys in the order of the file.
Notebook = dict[str, Any]
Json = dict[str, Any]


class NotebookError(LabError):
    """The file cannot be read or is not a notebook."""


def read(path: str | Path) -> Notebook:
    """Reads a notebook of format 4 and checks its structure."""
    return parse(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
    """Reads a regular file; a pipe would block, and a device need not end."""
    try:
        # Without O_NONBLOCK, which Windows lacks, opening a pipe waits for its writer.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotebookError(f"{path} is not a notebook, but a device, a pipe or a socket")
            return file.read()
    except (OSError, MemoryError) as error:
        raise NotebookError(f"{path}: cannot be opened ({reason(error)})") from None


def parse(data: bytes, path: str | Path) -> Notebook:
    """Parses the content of a notebook file; the path is for errors."""
    try:
        notebook = json.loads(data.decode("utf-8"))
        # A lone surrogate can be escaped in JSON, but not be written.
        json.dumps(notebook, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise NotebookError(f"{path} is not a notebook (it is nested too deeply)") from None
    except ValueError as error:
        text = "the file is empty" if not data.strip() else str(error)
        raise NotebookError(f"{path} is not a notebook ({text})") from None
    problem = find_problem(notebook)
    if problem:
        raise NotebookError(f"{path} is not a notebook of format 4: {problem}")
    return notebook


def find_problem(notebook: Any) -> str | None:
    """Returns the first thing in which JSON differs from a notebook of format 4; `None` for a notebook."""
    if not isinstance(notebook, dict):
        return "it is not a JSON object"
    version = notebook.get("nbformat")
    if version != 4 or isinstance(version, bool):
        if isinstance(version, int) and 0 < version < 4:
            return f"its format is {version}; open it in JupyterLab and save it, which converts it"
        return "it has no nbformat" if version is None else f"its nbformat is {json.dumps(version)[:40]}"
    minor = notebook.get("nbformat_minor")
    if not isinstance(minor, int) or isinstance(minor, bool) or minor < 0:
        return "it has no nbformat_minor"
    if not isinstance(notebook.get("metadata", {}), dict):
        return "its metadata is not an object"
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        return "it has no list of cells"
    problems = (find_cell_problem(cell) for cell in cells)
    return next((f"cell {number} {problem}" for number, problem in enumerate(problems, 1) if problem), None)


def find_cell_problem(cell: Any) -> str | None:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return "is not an object with a cell_type"
    if not is_text(cell.get("source", "")):
        return "has a source that is not text"
    if not isinstance(cell.get("metadata", {}), dict):
        return "has metadata that is not an object"
    outputs = cell.get("outputs", [])
    if not isinstance(outputs, list):
        return "has outputs that are not a list"
    for output in outputs:
        if not isinstance(output, dict) or not isinstance(output.get("output_type"), str):
            return "has an output that is not an object with an output_type"
        if not isinstance(output.get("data", {}), dict) or not is_text(output.get("text", "")):
            return "has an output whose data is not an object or whose text is not text"
    return None


def is_text(value: Any) -> bool:
    """Returns whether a value is a multiline string, which a notebook stores as a string or as a list of lines."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value))


def serialize(notebook: Notebook) -> str:
    """Formats a notebook as Jupyter does: indented by one space, without ASCII escapes, with a final newline."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, separators=(",", ": ")) + "\n"


def join_lines(text: str | list[str]) -> str:
    """Joins a multiline string."""
    return text if isinstance(text, str) else "".join(text)
