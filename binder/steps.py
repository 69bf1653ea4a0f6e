"""Runs the steps of the Dockerfile in an empty folder, for a machine without Docker.

    python3 binder/steps.py FOLDER [--replace TEXT COMMAND]

The home directory of the image becomes a folder in FOLDER, COPY becomes a clone, and steps that need root are skipped.
At the end, Jupyter is started with the command of CMD, and its kernels are listed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PORT = 18888
TOKEN = "steps"
# Number of times that Jupyter is asked for its kernels, once per second.
MAX_ATTEMPTS = 60


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yields the keyword and the arguments of each instruction; joins continued lines."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, arguments = line.split(None, 1)
            yield keyword, arguments


class Steps:
    """The state of the image: user, working directory and environment variables."""

    def __init__(self, folder: Path, replacements: list[tuple[str, str]]) -> None:
        self.folder, self.replacements = folder, replacements
        self.environment = dict(os.environ)
        self.user, self.working_dir = "root", folder

    def substitute(self, text: str) -> str:
        """Replaces variables by their values in the image."""
        values = {**self.environment, "HOME": self.environment.get("IMAGE_HOME", "")}
        return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], ""), text)

    def to_local(self, text: str) -> str:
        """Replaces variables, and the home directory of the image by a folder on this machine."""
        text, home = self.substitute(text), self.environment.get("IMAGE_HOME")
        return text.replace(home, str(self.folder) + home) if home else text

    def execute(self, keyword: str, arguments: str) -> str:
        """Executes an instruction; returns a description of the result."""
        if keyword == "RUN":
            return self.run(arguments)
        if keyword == "CMD":
            return self.start_jupyter(json.loads(arguments))
        if keyword == "USER":
            self.user = self.substitute(arguments)
        elif keyword == "ARG":
            name, value = arguments.split("=", 1)
            self.environment[name] = value
        elif keyword == "ENV":
            self.set_variables(arguments)
        elif keyword == "WORKDIR":
            self.working_dir = Path(self.to_local(arguments))
            self.working_dir.mkdir(parents=True, exist_ok=True)
        elif keyword == "COPY":
            subprocess.run(["git", "clone", "--quiet", ROOT, self.working_dir], check=True)
        return "done"

    def set_variables(self, assignments: str) -> None:
        """Sets environment variables; HOME and USER keep their values on this machine."""
        for name, value in re.findall(r"(\w+)=(\S+)", assignments):
            if name == "HOME":
                self.environment["IMAGE_HOME"] = self.substitute(value)
            elif name != "USER":
                self.environment[name] = self.to_local(value)

    def run(self, command: str) -> str:
        """Runs a command or its replacement, unless it needs root."""
        if self.user == "root":
            return "skipped: needs root"
        replacement = next((other for text, other in self.replacements if text in command), None)
        start = time.monotonic()
        shell = ["sh", "-c", replacement or self.to_local(command)]
        subprocess.run(shell, cwd=self.working_dir, env=self.environment, check=True)
        note = f"replaced by: {replacement}; " if replacement else ""
        return f"{note}done in {time.monotonic() - start:.0f} s"

    def start_jupyter(self, command: list[str]) -> str:
        """Starts Jupyter on a local port, lists its kernels and stops it."""
        command = [part.replace("8888", str(PORT)).replace("0.0.0.0", "127.0.0.1") for part in command]
        options = [f"--IdentityProvider.token={TOKEN}", "--allow-root"]
        jupyter = subprocess.Popen([*command, *options], cwd=self.working_dir, env=self.environment)
        try:
            return f"kernels: {', '.join(kernels(jupyter))}"
        finally:
            jupyter.terminate()
            jupyter.wait(30)


def kernels(jupyter: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Returns the kernel specs of a Jupyter server by name, as soon as it replies."""
    address = f"http://127.0.0.1:{PORT}/api/kernelspecs?token={TOKEN}"
    for _ in range(MAX_ATTEMPTS):
        time.sleep(1)
        if jupyter.poll() is not None:
            sys.exit(f"error: Jupyter exited with status {jupyter.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                specs: dict[str, Any] = json.load(response)["kernelspecs"]
                return specs
        except OSError:
            continue
    sys.exit(f"error: Jupyter did not reply within {MAX_ATTEMPTS} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder to create")
    parser.add_argument(
        "--replace",
        action="append",
        default=[],
        nargs=2,
        metavar=("TEXT", "COMMAND"),
        help="run COMMAND in place of a step that contains TEXT, for example one that takes too long",
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    steps = Steps(arguments.folder.resolve(), arguments.replace)
    for keyword, rest in instructions((ROOT / "binder" / "Dockerfile").read_text()):
        print(f"{keyword} {rest}", flush=True)
        print(f"  {steps.execute(keyword, rest)}", flush=True)


if __name__ == "__main__":
    main()
