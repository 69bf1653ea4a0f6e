"""Executes notebooks and saves their outputs. Called by `cargo lab --run` and `metamers-kernel run`."""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from notebook_files import complain

# Without a version, which would change the notebook with every release.
LANGUAGE = {
    "name": "rust",
    "file_extension": ".rs",
    "mimetype": "text/rust",
    "pygments_lexer": "rust",
    "codemirror_mode": "rust",
}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main():
    arguments = parse()
    failed = 0
    for path in arguments.notebooks:
        try:
            failed += execute(path, arguments)
        except KeyboardInterrupt:
            print(f"\n{path}: stopped; the notebook is as it was.", file=sys.stderr)
            return 130
    return 1 if failed else 0


def parse():
    parser = argparse.ArgumentParser(prog="metamers-kernel run")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="FILE.ipynb")
    parser.add_argument("--timeout", type=int, help="seconds that one cell may take")
    parser.add_argument("--keep", action="store_true", help="save what ran before a failure to FILE.failed.ipynb")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save executed copies there")
    return parser.parse_args()


def execute(path, arguments):
    """Runs one notebook; 0 if every cell succeeded and the outputs are saved."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return complain(f"{path}: there is no such file")
    except Exception as error:
        return complain(f"{path}: not a notebook ({error})")
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
    begun = time.monotonic()
    try:
        with client.setup_kernel():
            for number, index in enumerate(code, 1):
                execute_cell(client, notebook.cells[index], index, number, len(code))
            notebook.metadata["language_info"] = LANGUAGE
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        explain(error, notebook)
        if arguments.keep:
            kept = (arguments.out / path.name if arguments.out else path).with_suffix(".failed.ipynb")
            save(notebook, kept)
            return complain(f"{path}: failed; what ran is in {kept}")
        return complain(f"{path}: failed; the notebook is as it was")
    path = arguments.out / path.name if arguments.out else path
    save(notebook, path)
    print(f"{path}: saved after {time.monotonic() - begun:.0f} s", flush=True)
    return 0


def execute_cell(client, cell, index, number, count):
    first = next(line for line in cell.source.splitlines() if line.strip())
    first = first if len(first) <= 72 else first[:71] + "…"
    print(f"  {number:>3} of {count}  {first}", end="", flush=True)
    begun = time.monotonic()
    try:
        client.execute_cell(cell, index)
    finally:
        print(f"  ({time.monotonic() - begun:.1f} s)", flush=True)


def explain(error, notebook):
    if isinstance(error, CellTimeoutError):
        complain("the cell took longer than --timeout allows")
        return
    if isinstance(error, DeadKernelError):
        complain("the kernel died")
        return
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
                print(text if sys.stderr.isatty() else COLOURS.sub("", text), file=sys.stderr, flush=True)
                return
    complain(error)


def save(notebook, path):
    """Writes to a file beside the notebook and renames it: a crash leaves the old notebook or the new one."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    nbformat.validate(notebook)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
        nbformat.write(notebook, file)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    os.chmod(file.name, mode)
    os.replace(file.name, path)


def merged(outputs):
    """One output for text that was printed in one go, however many messages it came in."""
    result = []
    for output in outputs:
        last = result[-1] if result else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            result.append(output)
    return result


if __name__ == "__main__":
    sys.exit(main())
