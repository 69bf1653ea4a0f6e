"""Executes notebooks and saves their outputs. Called by `cargo lab --run` and `metamers-kernel run`."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

import notebook_files
from notebook_files import report_error

# The version is omitted because it would change the notebook with every release.
LANGUAGE = {
    "name": "rust",
    "file_extension": ".rs",
    "mimetype": "text/rust",
    "pygments_lexer": "rust",
    "codemirror_mode": "rust",
}
ANSI_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    arguments = parse()
    failed = 0
    for path in arguments.notebooks:
        try:
            failed += execute(path, arguments)
        except KeyboardInterrupt:
            print(f"\n{path}: interrupted; the notebook is unchanged.", file=sys.stderr)
            return 130
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="metamers-kernel run")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="FILE.ipynb")
    parser.add_argument("--timeout", type=int, help="maximum seconds per cell")
    parser.add_argument("--keep", action="store_true", help="save the outputs before a failure to FILE.failed.ipynb")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save the executed copies to DIR")
    return parser.parse_args()


def execute(path: Path, arguments: argparse.Namespace) -> int:
    """Executes one notebook and saves its outputs; returns 0 if every cell succeeded."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return report_error(f"{path}: no such file")
    except Exception as error:
        return report_error(f"{path}: not a notebook ({error})")
    kernel = notebook.metadata.get("kernelspec", {}).get("name", "metamers")
    client = NotebookClient(
        notebook,
        kernel_name=kernel,
        timeout=arguments.timeout,
        startup_timeout=600,
        record_timing=False,
        store_widget_state=False,
        allow_errors=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    print(f"{path}: {len(code)} cells", flush=True)
    start = time.monotonic()
    try:
        with client.setup_kernel():
            for number, index in enumerate(code, 1):
                execute_cell(client, notebook.cells[index], index, f"{number:>3} of {len(code)}")
            notebook.metadata["language_info"] = LANGUAGE
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print_failure(error, notebook)
        if arguments.keep:
            kept = (arguments.out / path.name if arguments.out else path).with_suffix(".failed.ipynb")
            save(notebook, kept)
            return report_error(f"{path}: failed; the outputs until then are in {kept}")
        return report_error(f"{path}: failed; the notebook is unchanged")
    path = arguments.out / path.name if arguments.out else path
    save(notebook, path)
    print(f"{path}: saved after {time.monotonic() - start:.0f} s", flush=True)
    return 0


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


def print_failure(error: Exception, notebook: NotebookNode) -> None:
    """Prints the reason why a notebook failed: the traceback of a cell, a timeout or a dead kernel."""
    if isinstance(error, CellTimeoutError):
        report_error("the cell took longer than --timeout allows")
        return
    if isinstance(error, DeadKernelError):
        report_error("the kernel died")
        return
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
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
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)
    notebook_files.write_atomic(path, text if text.endswith("\n") else text + "\n")


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


if __name__ == "__main__":
    sys.exit(main())
