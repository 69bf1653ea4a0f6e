"""Tests that every failure of the programs of `cargo lab` is one line and an exit status, never a traceback.

.venv/bin/python tests/export/test_failures.py
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

LAB = Path(__file__).resolve().parents[2] / "kernel-spec/lab"
sys.path.insert(0, str(LAB))
sys.dont_write_bytecode = True
import failures  # noqa: E402

RUN, EXPORT, STRIP, SIZES = "run_notebook.py", "export_notebook.py", "strip_notebooks.py", "notebook_sizes.py"
ALL = (RUN, EXPORT, STRIP, SIZES)

# Each is wrong in one thing; all four programs refuse it.
MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "text": b"not a notebook",
    "html": b"<!DOCTYPE html><html></html>",
    "latin1": "é".encode("latin-1"),
    "utf16": json.dumps({}).encode("utf-16"),
    "list": b"[]",
    "number": b"1",
    "null": b"null",
    "deep": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000,
    "no nbformat": b'{"cells": []}',
    "no cells": b'{"nbformat": 4, "metadata": {}}',
    "cells are an object": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": {}}',
    "cell is null": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [null]}',
    "cell is text": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": ["x"]}',
    "cell without type": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"source": ""}]}',
    "format 3": b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}',
    "format 5": b'{"nbformat": 5, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "no minor": b'{"nbformat": 4, "nbformat_minor": null, "metadata": {}, "cells": []}',
    "negative minor": b'{"nbformat": 4, "nbformat_minor": -1, "metadata": {}, "cells": []}',
    "format is text": b'{"nbformat": "4", "nbformat_minor": 4, "metadata": {}, "cells": []}',
    "metadata is a list": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": [], "cells": []}',
    "half a surrogate pair": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {"x": "\\ud800"}, "cells": []}',
    "truncated": b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_ty',
}
CELL: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "source": "1", "outputs": []}
for name, change in {
    "source is a number": {"source": 1},
    "source is a list of numbers": {"source": [1]},
    "outputs are an object": {"outputs": {}},
    "output is text": {"outputs": ["x"]},
    "output without type": {"outputs": [{"data": {}}]},
    "output type is a list": {"outputs": [{"output_type": []}]},
    "data is a list": {"outputs": [{"output_type": "display_data", "metadata": {}, "data": []}]},
    "stream text is a number": {"outputs": [{"output_type": "stream", "name": "stdout", "text": 1}]},
    "cell metadata is a list": {"metadata": []},
}.items():
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{**CELL, **change}]}
    MALFORMED[name] = json.dumps(notebook).encode()

# Notebooks that only Jupyter's schema refuses; they can still be stripped.
INVALID = {
    "kernelspec is text": {"metadata": {"kernelspec": "metamers"}},
    "kernelspec without a name": {"metadata": {"kernelspec": {"display_name": "metamers"}}},
    "outputs are missing": {"cells": [{"cell_type": "code", "metadata": {}, "execution_count": None, "source": "1"}]},
    "no metadata": {"metadata": {}, "cells": [{"cell_type": "markdown", "source": "text"}]},
}


def notebook_text(kernel: str = "metamers", **changes: Any) -> str:
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [CELL], **changes})


class Failures(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "one.ipynb"
        self.environment = {**os.environ, "JUPYTER_PATH": str(self.folder / "jupyter"), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        # A shell starts its background jobs, among which these tests may be, with Ctrl-C ignored.
        command = ["env", "--default-signal=INT", sys.executable, str(LAB / program), *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment, **options}
        return subprocess.Popen(command, text=True, cwd=self.folder, **options)

    def run_program(self, program: str, *arguments: object, **options: Any) -> tuple[int, str]:
        process = self.start(program, *arguments, **options)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def fails(self, program: str, *arguments: object, expected: str, **options: Any) -> None:
        status, errors = self.run_program(program, *arguments, **options)
        self.assertEqual(status, 1, f"{program}: {errors}")
        self.assertIn(expected, errors, program)
        self.assertTrue(errors.startswith("error: ") and errors.count("\n") == 1, f"{program}: {errors}")

    def fails_here(self, program: str, *arguments: object, expected: str) -> None:
        """Like `fails`, in this process: starting one with Jupyter's packages takes a second."""
        main = importlib.import_module(program[:-3]).main
        output, errors = io.StringIO(), io.StringIO()
        argv = mock.patch("sys.argv", [program, *map(str, arguments)])
        with argv, contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
            try:
                status = main()
            except BaseException as error:
                status = failures.explain(error)
        text = errors.getvalue()
        self.assertEqual((status, output.getvalue()), (1, ""), f"{program}: {text}")
        self.assertIn(expected, text, program)
        self.assertTrue(text.startswith("error: ") and text.count("\n") == 1, f"{program}: {text}")

    def install_kernel(self, name: str, *argv: str) -> None:
        folder = self.folder / "jupyter/kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": argv, "display_name": name, "language": "rust"}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def test_malformed_notebooks(self) -> None:
        for name, content in MALFORMED.items():
            path = self.folder / f"{name}.ipynb"
            path.write_bytes(content)
            for program in ALL:
                self.fails_here(program, path, expected=f"{name}.ipynb is not a notebook")
            self.assertEqual(path.read_bytes(), content)
        for program in ALL:
            self.fails(program, "deep.ipynb", expected="deep.ipynb is not a notebook")

    def test_notebooks_that_are_invalid_by_the_schema(self) -> None:
        for name, change in INVALID.items():
            self.path.write_text(notebook_text(**change))
            for program in (RUN, EXPORT):
                self.fails_here(program, self.path, expected="one.ipynb is not a")
            self.assertEqual(self.run_program(STRIP, self.path), (0, ""), name)

    def test_what_is_no_file(self) -> None:
        os.mkfifo(self.folder / "pipe.ipynb")
        (self.folder / "folder.ipynb").mkdir()
        (self.folder / "loop.ipynb").symlink_to("loop.ipynb")
        for name, expected in {
            "gone.ipynb": "gone.ipynb: cannot be opened (No such file or directory)",
            "loop.ipynb": "loop.ipynb: cannot be opened",
            "folder.ipynb": "folder.ipynb",
            "pipe.ipynb": "a pipe",
            "/dev/zero": "a device",
        }.items():
            for program in ALL:
                self.fails_here(program, self.folder / name, expected=expected)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_what_may_not_be_read(self) -> None:
        self.path.write_text(notebook_text())
        self.path.chmod(0)
        for program in ALL:
            self.fails(program, self.path, expected="cannot be opened (Permission denied)")

    def test_what_cannot_be_written(self) -> None:
        output = {"output_type": "stream", "name": "stdout", "text": "x" * 50_000}
        content = notebook_text(cells=[{**CELL, "outputs": [output]}, {**CELL, "source": "y" * 50_000}])
        self.path.write_text(content)

        def limit() -> None:
            # Fails like a full disk: writing beyond the limit is an error.
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

        for program in (EXPORT, STRIP):
            self.fails(program, self.path, expected="cannot be written (File too large)", preexec_fn=limit)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["one.ipynb"], "temporary files were left")
        self.assertEqual(self.path.read_text(), content)
        self.install_kernel("metamers", "true")
        self.fails(EXPORT, self.path, "--out", "one.ipynb/pages", expected="cannot be written")
        self.fails(RUN, self.path, "--out", "one.ipynb", expected="cannot be written")
        self.fails(RUN, self.path, "--out", "gone", expected="cannot be written")

    def test_a_full_standard_output(self) -> None:
        self.path.write_text(notebook_text())
        with open("/dev/full", "w") as full:  # noqa: PTH123
            for program in (EXPORT, STRIP, SIZES):
                expected = "cannot write to the standard output (No space left on device)"
                self.fails(program, self.path, expected=expected, stdout=full)

    def test_a_closed_pipe_is_silent(self) -> None:
        self.path.write_text(notebook_text())
        for program in (EXPORT, STRIP, SIZES):
            reader, writer = os.pipe()
            os.close(reader)
            status, errors = self.run_program(program, self.path, stdout=writer)
            os.close(writer)
            self.assertEqual((status, errors), (1, ""), program)

    def test_names_that_are_not_utf8(self) -> None:
        path = os.fsencode(self.folder) + b"/\xff.ipynb"
        with open(path, "w") as file:  # noqa: PTH123
            file.write(notebook_text())
        for program in (STRIP, SIZES, EXPORT):
            self.assertEqual(self.run_program(program, os.fsdecode(path)), (0, ""), program)

    def test_a_kernel_that_is_not_installed(self) -> None:
        self.install_kernel("metamers", "true")
        self.path.write_text(notebook_text(kernel="julia-1.11"))
        before = self.path.read_bytes()
        expected = 'one.ipynb: there is no kernel named "julia-1.11"; installed: '
        self.fails(RUN, self.path, expected=expected)
        _, errors = self.run_program(RUN, self.path)
        self.assertRegex(errors, "installed: .*metamers")
        self.assertEqual(self.path.read_bytes(), before)

    def test_a_kernel_that_does_not_start(self) -> None:
        self.install_kernel("gone", "/no/such/program")
        self.install_kernel("dies", sys.executable, "-c", "raise SystemExit(3)")
        self.install_kernel("broken")
        (self.folder / "jupyter/kernels/broken/kernel.json").write_text("{")
        for kernel in ("gone", "dies"):
            self.path.write_text(notebook_text(kernel=kernel))
            self.fails(RUN, self.path, expected=f'one.ipynb: the kernel "{kernel}" did not start')
        self.path.write_text(notebook_text(kernel="broken"))
        self.fails(RUN, self.path, expected='the kernel "broken" did not start')

    def test_another_kernel_keeps_its_language(self) -> None:
        self.path.write_text(notebook_text(kernel="python3", cells=[{**CELL, "source": "print(6 * 7)"}]))
        status, errors = self.run_program(RUN, self.path)
        self.assertEqual(status, 0, errors)
        executed = json.loads(self.path.read_text())
        self.assertEqual("".join(executed["cells"][0]["outputs"][0]["text"]), "42\n")
        self.assertNotEqual(executed["metadata"].get("language_info", {}).get("name"), "rust")

    def test_a_failing_cell_shows_its_traceback_alone(self) -> None:
        self.path.write_text(notebook_text(kernel="python3", cells=[{**CELL, "source": "1 / 0"}]))
        status, errors = self.run_program(RUN, self.path)
        self.assertEqual(status, 1)
        self.assertIn("ZeroDivisionError", errors)
        self.assertTrue(errors.endswith("one.ipynb: failed; the notebook is unchanged\n"), errors)
        self.assertNotIn("nbclient", errors)

    def test_an_interrupt_at_any_time(self) -> None:
        self.path.write_text(notebook_text(kernel="python3", cells=[{**CELL, "source": "import time; time.sleep(60)"}]))
        before = self.path.read_bytes()
        for delay in (0.5, 1, 2, 5):
            process = self.start(RUN, self.path)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, f"after {delay} s: {errors}")
            self.assertIn("interrupted", errors)
            # ipykernel may log a traceback of its own when it is interrupted while it sends a message.
            self.assertNotIn("kernel-spec/lab", errors, f"after {delay} s: a traceback of the script")
            self.assertEqual(self.path.read_bytes(), before)

    def test_a_missing_package(self) -> None:
        self.path.write_text(notebook_text())
        # Hides the packages of the environment.
        environment = {**self.environment, "PYTHONPATH": str(self.folder)}
        for package in ("nbformat", "nbclient"):
            (self.folder / f"{package}.py").write_text(f"raise ModuleNotFoundError('gone', name={package!r})")
        for program in (RUN, EXPORT):
            self.fails(program, self.path, expected="the Python package nb", env=environment)

    def test_strays_of_killed_programs_are_removed(self) -> None:
        (self.folder / ".metamers-0123").write_text("half")
        self.path.write_text(notebook_text(cells=[{**CELL, "execution_count": 3}]))
        self.assertEqual(self.run_program(STRIP, self.path), (0, ""))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["one.ipynb"])


if __name__ == "__main__":
    unittest.main()
