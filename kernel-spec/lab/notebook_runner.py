"""Executes notebooks with nbclient; run_notebook.py is the program."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import valid_notebook
from atomic import write_atomic
from failures import EXIT_INTERRUPTED, LabError, reason, report_error

if TYPE_CHECKING:
    import argparse

    from nbformat import NotebookNode

KERNEL = "metamers"
# The version is omitted because it would change the notebook with every release.
LANGUAGE = {
    "name": "rust",
    "file_extension": ".rs",
    "mimetype": "text/rust",
    "pygments_lexer": "rust",
    "codemirror_mode": "rust",
}
ANSI_COLORS = re.compile(r"\x1b\[[0-9;]*m")
STARTUP_TIMEOUT = 600
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class FailedCellError(Exception):
    """A cell failed; its traceback is printed already."""


def run_all(arguments: argparse.Namespace) -> int:
    """Executes all notebooks, also after a failure of one; returns the exit status."""
    targets = [arguments.out / path.name if arguments.out else path for path in arguments.notebooks]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice:
        raise LabError(f"two notebooks would be saved as {twice}; run them with different --out")
    failed = 0
    for path, target in zip(arguments.notebooks, targets):
        try:
            execute(path, target, arguments)
        except KeyboardInterrupt:
            print(f"\n{path}: interrupted; the notebook is unchanged.", file=sys.stderr)
            return EXIT_INTERRUPTED
        except LabError as error:
            failed += report_error(error)
    return 1 if failed else 0


def execute(path: Path, target: Path, arguments: argparse.Namespace) -> None:
    """Executes one notebook and saves its outputs."""
    notebook = valid_notebook.read(path)
    kernel = notebook.metadata.get("kernelspec", {}).get("name", KERNEL)
    check_kernel(path, kernel)
    check_writable(target)
    client = NotebookClient(
        notebook,
        kernel_name=kernel,
        timeout=arguments.timeout,
        startup_timeout=STARTUP_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        allow_errors=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    start = time.monotonic()
    try:
        execute_cells(path, client)
    except FailedCellError:
        if arguments.keep:
            kept = target.with_suffix(".failed.ipynb")
            save(notebook, kept)
            raise LabError(f"{path}: failed; the outputs until then are in {kept}") from None
        raise LabError(f"{path}: failed; the notebook is unchanged") from None
    if kernel == KERNEL:
        notebook.metadata["language_info"] = LANGUAGE
    save(notebook, target)
    print(f"{target}: saved after {time.monotonic() - start:.0f} s", flush=True)


def check_kernel(path: Path, kernel: str) -> None:
    """Checks that the notebook's kernel is installed."""
    known = sorted(KernelSpecManager().find_kernel_specs())
    if kernel.lower() not in known:
        names = ", ".join(known) or "none"
        raise LabError(
            f'{path}: there is no kernel named "{kernel}"; installed: {names}. Open the notebook in JupyterLab '
            "(cargo lab) and choose one with Kernel > Change Kernel"
        )


def check_writable(target: Path) -> None:
    """Checks before the execution, which may take long, that its result can be saved."""
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise LabError(f"{target} cannot be written ({folder} is not a folder)")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LabError(f"{target} cannot be written (no permission to write to {folder})")
    if target.exists() and not target.is_file():
        raise LabError(f"{target} cannot be written (it is not a regular file)")


def execute_cells(path: Path, client: NotebookClient) -> None:
    """Starts the kernel and executes all cells; prints the progress and, if a cell fails, the reason."""
    cells = client.nb.cells
    code = [index for index, cell in enumerate(cells) if cell.cell_type == "code" and cell.source.strip()]
    print(f"{path}: {len(code)} cells", flush=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(client.setup_kernel())
        except Exception as error:
            name = client.kernel_name
            raise LabError(f'{path}: the kernel "{name}" did not start ({reason(error)})') from error
        try:
            for number, index in enumerate(code, 1):
                execute_cell(client, cells[index], index, f"{number:>3} of {len(code)}")
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            print_failure(error, cells[index])
            raise FailedCellError from error
        except Exception as error:
            raise LabError(f"{path}: cannot be executed ({reason(error)}); the notebook is unchanged") from error


def execute_cell(client: NotebookClient, cell: NotebookNode, index: int, progress: str) -> None:
    """Executes a cell and prints the progress, the cell's first line and its duration."""
    first = next(line for line in cell.source.splitlines() if line.strip())
    first = first if len(first) <= 72 else first[:71] + "…"
    print(f"  {progress}  {first}", end="", flush=True)
    start = time.monotonic()
    try:
        client.execute_cell(cell, index)
    finally:
        print(f"  ({time.monotonic() - start:.1f} s)", flush=True)


def print_failure(error: Exception, cell: NotebookNode) -> None:
    """Prints the reason why a cell failed: its traceback, a timeout or a dead kernel."""
    if isinstance(error, CellTimeoutError):
        report_error("the cell took longer than --timeout allows")
        return
    if isinstance(error, DeadKernelError):
        report_error("the kernel died")
        return
    for output in cell.outputs:
        if output.output_type == "error":
            text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            print(text if sys.stderr.isatty() else ANSI_COLORS.sub("", text), file=sys.stderr, flush=True)
            return
    report_error(error)


def save(notebook: NotebookNode, path: Path) -> None:
    """Saves a notebook atomically, without execution times and with consecutive stream outputs merged."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
            for output in cell.outputs:
                # The widget has ended with its kernel; JupyterLab would show an error in place of the still form.
                output.get("data", {}).pop(WIDGET_VIEW, None)
    try:
        nbformat.validate(notebook)
        text = nbformat.writes(notebook)
        write_atomic(path, text if text.endswith("\n") else text + "\n")
    except nbformat.ValidationError as error:
        raise LabError(f"{path} cannot be written (the kernel sent {valid_notebook.first_line(error)})") from None
    except (OSError, ValueError) as error:
        raise LabError(f"{path} cannot be written ({reason(error)})") from None


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Merges consecutive outputs of the same stream into one."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged
