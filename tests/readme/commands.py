"""Reads the shell commands out of README.md and docs/, so that the tests run what a reader types."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A code span is a command if it starts with one of these words.
PROGRAMS = ("cargo ", "python3 ", "target/", "tests/", "docker ", "sbatch ", "jupyter ")
FENCE = re.compile(r"^```(\w*)$")
SPAN = re.compile(r"`([^`\n]+)`")


def documents() -> list[Path]:
    """The files whose commands are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of(text: str) -> list[str]:
    """Returns the commands of a Markdown text, without comments: the lines of its `sh` blocks and its code spans."""
    found = []
    language = None
    for line in text.splitlines():
        if fence := FENCE.match(line.strip()):
            language = fence[1] if language is None else None
        elif language == "sh":
            found.append(re.sub(r"(^|\s+)#.*$", "", line).strip())
        elif language is None:
            found += [span for span in SPAN.findall(line) if span.startswith(PROGRAMS)]
    return [command for command in dict.fromkeys(found) if command]


def all_commands() -> list[str]:
    """Returns the commands of all documents, each once, in reading order."""
    return list(dict.fromkeys(command for path in documents() for command in commands_of(path.read_text())))
