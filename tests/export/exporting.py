"""Exports small notebooks in tests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "kernel-spec/lab"))
sys.dont_write_bytecode = True
import export_notebook  # noqa: E402
from failures import LabError, explain  # noqa: E402

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


Json = dict[str, Any]


def markdown(source: str, **fields: Json) -> Json:
    return {"cell_type": "markdown", "metadata": {}, "source": source, **fields}


def code(source: str, *outputs: Json) -> Json:
    return {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": source, "outputs": list(outputs)}


def display_data(data: Json, metadata: Json | None = None) -> Json:
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


class ExportTest(unittest.TestCase):
    """A test in a folder of its own, with the exporter."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def write(self, name: str, *cells: Json, metadata: Json | None = None) -> None:
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": metadata or {"language_info": {"name": "rust"}},
            "cells": list(cells),
        }
        (self.folder / name).write_text(json.dumps(notebook))

    def export(self, *arguments: str) -> tuple[int, str]:
        """Runs the exporter with command-line arguments; returns its exit status and stderr."""
        sys.argv[1:] = map(str, arguments)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = export_notebook.main()
            except LabError as error:
                status = explain(error)
        return status, errors.getvalue()

    def page(self, *cells: Json) -> BeautifulSoup:
        self.write("one.ipynb", *cells)
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 0, errors)
        return BeautifulSoup((self.folder / "one.html").read_text(), "html.parser")
