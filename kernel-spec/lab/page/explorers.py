"""Makes the pages that take the place of explorers: a page has no kernel, and metamers can be made without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "cargo metamers page {} {}"
# The pages of this export. One that was there before may come from an older version.
MADE: set[Path] = set()


def link_explorers(page: BeautifulSoup, target: Path) -> None:
    """Adds a link to a page that makes metamers below each explorer, and makes that page beside `target`."""
    for output in page.select(".output[data-page]"):
        network = output.attrs.pop("data-page")
        # The name of a shipped network; a notebook may hold anything.
        if not re.fullmatch(r"[a-z0-9_]{1,40}", network):
            continue
        name = f"make_a_metamer_{network}.html"
        made = make_page(network, target.parent / name)
        note = page.new_tag("p")
        if made:
            link = page.new_tag("a", href=name)
            link.string = "Make metamers with this network, here in your browser"
            note.append(link)
        else:
            note.string = "This tool needs a kernel. As a page that needs none: " + COMMAND.format(network, name)
        output.append(note)


def make_page(network: str, file: Path) -> bool:
    """Makes the page of a network, once for an export; returns false, with a note, if the program for it is missing."""
    if file.resolve() in MADE:
        return True
    program = os.environ.get("METAMERS") or ROOT / "target/release/metamers"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run([program, "page", network, str(file)], capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
        if made.returncode == 0:
            MADE.add(file.resolve())
            return True
    except OSError as error:
        reason = error.strerror or str(error)
    command = COMMAND.format(network, file)
    print(f"note: no page was made for an explorer ({reason}); make it with: {command}", file=sys.stderr)
    return False
