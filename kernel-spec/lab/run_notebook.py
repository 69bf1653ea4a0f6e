"""Executes notebooks and saves their outputs. Called by `cargo lab --run` and `metamers-kernel run`."""

from __future__ import annotations

import argparse
from pathlib import Path

import failures


def main() -> int:
    arguments = parse()
    # Imported here, so that a failure or Ctrl-C while they load is reported like any other.
    from notebook_runner import run_all

    return run_all(arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="metamers-kernel run")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="FILE.ipynb")
    parser.add_argument("--timeout", type=int, help="maximum seconds per cell")
    parser.add_argument("--keep", action="store_true", help="save the outputs before a failure to FILE.failed.ipynb")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save the executed copies to DIR")
    return parser.parse_args()


if __name__ == "__main__":
    failures.run_main(main)
