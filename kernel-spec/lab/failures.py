"""Turns every failure of a program of `cargo lab` into one line and an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_INTERRUPTED = 130
# Set to 1, it prints the traceback of an unexpected failure, for a report.
TRACEBACK = "METAMERS_TRACEBACK"
MAX_REASON = 300


class LabError(Exception):
    """A failure whose message names the file, the reason and, if there is one, the remedy."""


def report_error(message: object) -> int:
    """Prints an error as cargo does, in one line, and returns the exit status."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    return 1


def reason(error: BaseException) -> str:
    """Returns the reason of an error in one line: what the system or the first line of the message says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:MAX_REASON]}" if lines else type(error).__name__


def run_main(main: Callable[[], int]) -> NoReturn:
    """Runs a program and ends with its exit status: 1 after a failure, 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be valid in the encoding of the terminal.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = main()
        sys.stdout.flush()
    except BaseException as error:
        status = explain(error)
    # From here on a second Ctrl-C ends the program at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def explain(error: BaseException) -> int:
    """Reports what ended a program and returns its exit status."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        print("\ninterrupted", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, LabError):
        return report_error(error)
    if isinstance(error, ModuleNotFoundError):
        remedy = 'run `cargo lab --setup`, or beside a wheel `pip install "metamers[lab]"`'
        return report_error(f"the Python package {error.name} is missing; {remedy}")
    if isinstance(error, OSError) and error.filename is None:
        # Written to the standard output; what is buffered is dropped, because Python would try it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 1
        return report_error(f"cannot write to the standard output ({reason(error)})")
    if isinstance(error, OSError):
        return report_error(f"{error.filename}: {reason(error)}")
    return report_error(f"{reason(error)}; set {TRACEBACK}=1 to see where, and please report it")
