"""Type-checks the code cells of the notebooks and the Rust blocks of the README, without running them.

    python3 tests/cells/check.py

Of each notebook, and of the README, the cells become one function of a generated package in target/cells.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "target" / "cells"
MANIFEST = """[package]
name = "metamers-cells"
version = "0.0.0"
edition = "2024"

[dependencies]
metamers = { path = "../.." }

[workspace]
"""
# What the text around a block of the README supposes.
README_BEGIN = "let another_network = zoo::efficientnet_lite0_random(1)?;"
README_PARTS = {"{ /* candle, with named stages */ }": '{ mark.stage("first", x.clone()) }'}
COMMENT = re.compile(r"\s*//[^\"]*$")


def is_open(code: str) -> bool:
    """Whether the last statement goes on in the next line."""
    code = re.sub(r'"(\\.|[^"\\])*"', '""', code)
    return any(code.count(left) > code.count(right) for left, right in ("()", "[]", "{}"))


def cells_of_readme(text: str) -> list[str]:
    """The cells of the README: there, a statement without a semicolon ends a cell."""
    for part, code in README_PARTS.items():
        assert part in text, f"README.md has no {part}"
        text = text.replace(part, code)
    cells = [README_BEGIN]
    for block in re.findall(r"```rust\n(.*?)```", text, flags=re.DOTALL):
        statement = ""
        for line in block.splitlines():
            statement += COMMENT.sub("", line) + "\n"
            if statement.strip() and not is_open(statement):
                cells.append(statement)
                statement = ""
        assert not statement.strip(), f"README.md: a block ends within a statement: {statement}"
    return cells


def cells_of_notebook(file: Path) -> list[str]:
    cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells if "raises-exception" not in cell["metadata"].get("tags", [])]


def function(name: str, cells: list[str]) -> str:
    """A function of the cells. The value of a cell is only borrowed, as by the kernel that displays it."""
    lines = [f"pub fn {name}() -> Result<(), Box<dyn std::error::Error>> {{", "use metamers::prelude::*;"]
    imports: set[str] = set()
    for cell in cells:
        code = cell.strip()
        for use in re.findall(r"^use .*?;", code, flags=re.MULTILINE | re.DOTALL):
            # Cells repeat imports; a function must not.
            code = code.replace(use, "") if use in imports else code
            imports.add(use)
        code = "\n".join(COMMENT.sub("", line) for line in code.strip().splitlines())
        before, _, last = code.rpartition("\n")
        lines.append(f"{before}\nlet _ = &{last};" if re.fullmatch(r"\w+", last) else f"{code};")
    return "\n".join([*lines, "Ok(())", "}"])


def main() -> int:
    functions = [function("readme", cells_of_readme((ROOT / "README.md").read_text()))]
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    functions += [function(f"notebook_{file.stem}", cells_of_notebook(file)) for file in notebooks]
    (PACKAGE / "src").mkdir(parents=True, exist_ok=True)
    (PACKAGE / "Cargo.toml").write_text(MANIFEST)
    # The versions of the project.
    shutil.copy(ROOT / "Cargo.lock", PACKAGE / "Cargo.lock")
    (PACKAGE / "src/lib.rs").write_text("#![allow(warnings)]\n\n" + "\n\n".join(functions) + "\n")
    command = ["cargo", "check", "--quiet", "--manifest-path", PACKAGE / "Cargo.toml", "--target-dir", ROOT / "target"]
    if subprocess.run(command, check=False).returncode != 0:
        print(f"error: cells do not compile; they are in {PACKAGE.relative_to(ROOT)}/src/lib.rs", file=sys.stderr)
        return 1
    print(f"the cells of the README and of {len(notebooks)} notebooks compile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
