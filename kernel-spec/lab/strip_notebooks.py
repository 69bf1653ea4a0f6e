"""Takes outputs and execution counts out of notebooks; all else stays as it is. Called by `cargo lab --strip`."""

import sys

import notebook_files
from notebook_files import NoNotebook, complain


def stripped(notebook):
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return notebook


def main(paths):
    # All are read before one is written: a mistake in the last name changes nothing.
    try:
        texts = [(path, notebook_files.text(stripped(notebook_files.read(path)))) for path in paths]
    except NoNotebook as error:
        return complain(error)
    for path, text in texts:
        with open(path, "rb") as file:
            before = file.read()
        if before == text.encode():
            print(f"{path}: has no outputs")
            continue
        try:
            notebook_files.write(path, text)
        except OSError as error:
            return complain(f"{path} cannot be written ({error.strerror})")
        print(f"{path}: {len(before) / 1e6:.2f} MB, now {len(text.encode()) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
