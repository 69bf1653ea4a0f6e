"""Writes the page of a notebook that tries to run scripts, for test_export.py. Called by tests/export/run.

.venv/bin/python tests/export/hostile_page.py PAGE.html
"""

from __future__ import annotations

import json
import sys
import tempfile
from html import escape
from pathlib import Path

from exporting import code, display_data, explain, export_notebook, markdown

SCRIPTS = """<script>top.attacked = 1</script><img src=x: onerror="top.attacked = 1">
<b onmouseover="top.attacked = 1">b</b>
<meta http-equiv="refresh" content="0; url=about:blank#left">
<base href="https://example.org/"><a href="javascript:top.attacked = 1">a</a>
<form action="https://example.org"><button>go</button></form><svg onload="top.attacked = 1"></svg>"""
# The frame's own script runs, without the page's origin. An event handler does not, and no address can be reached.
FRAME = """<p>waiting</p><script>
document.querySelector("p").textContent = "the frame runs";
try { parent.document.title = "attacked"; } catch { document.querySelector("p").textContent += " apart"; }
fetch("https://example.org/").catch(() => {});
</script><b id="b" onclick="document.querySelector('p').textContent = 'attacked'">b</b>"""


def main() -> int:
    frame = f'<iframe srcdoc="{escape(FRAME)}" title="frame"></iframe>'
    cells = [markdown(f"# A hostile notebook\n\n{SCRIPTS}"), code("1", display_data({"text/html": SCRIPTS + frame}))]
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hostile.ipynb"
        path.write_text(json.dumps(notebook))
        sys.argv[1:] = [str(path), "--out", sys.argv[1]]
        return export_notebook.main()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        sys.exit(explain(error))
