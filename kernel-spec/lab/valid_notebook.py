"""Notebooks that are valid by Jupyter's own schema."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import nbformat

from notebook_files import NotebookError, parse, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode


def read(path: Path) -> NotebookNode:
    """Reads a notebook of format 4 that is valid by nbformat's schema; cells without an id get one."""
    data = read_bytes(path)
    parse(data, path)
    captured: dict[str, Any] = {}
    with warnings.catch_warnings():
        # nbformat warns of cells without an id, to which it gives one.
        warnings.simplefilter("ignore")
        try:
            notebook = nbformat.reads(data.decode("utf-8"), as_version=4, capture_validation_error=captured)
        except Exception as error:
            raise NotebookError(f"{path} is not a notebook ({first_line(error)})") from None
    if "ValidationError" in captured:
        raise NotebookError(f"{path} is not a valid notebook ({first_line(captured['ValidationError'])})")
    return notebook


def first_line(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error)
    return text.strip().splitlines()[0][:300] if text.strip() else type(error).__name__
