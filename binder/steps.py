"""Takes the steps of the Dockerfile one by one in an empty folder, where there is no Docker: python3 binder/steps.py FOLDER [--instead TEXT COMMAND]

The home of the image becomes a folder in FOLDER, COPY becomes a clone, and what only root may do is said and left out. A step
that holds TEXT, one too long to wait for, is replaced by COMMAND. At the end Jupyter is started as CMD says, and asked which kernels it has.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORT = 18888


def instructions(text):
    """The Dockerfile as (keyword, the rest of its line), with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, rest = line.split(None, 1)
            yield keyword, rest


class Steps:
    def __init__(self, folder, instead):
        self.folder, self.instead = folder, instead
        self.environment = dict(os.environ)
        self.user, self.place = "root", folder

    def of_image(self, text):
        """Variables filled in, and the image's home put into the folder."""
        values = {**self.environment, "HOME": self.environment.get("IMAGE_HOME", "")}
        return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], ""), text)

    def here(self, text):
        home = self.environment.get("IMAGE_HOME")
        return self.of_image(text).replace(home, str(self.folder) + home) if home else self.of_image(text)

    def take(self, keyword, rest):
        if keyword == "USER":
            self.user = self.of_image(rest)
        elif keyword == "ARG":
            name, value = rest.split("=", 1)
            self.environment[name] = value
        elif keyword == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", rest):
                if name == "HOME":
                    self.environment["IMAGE_HOME"] = self.of_image(value)
                elif name != "USER":
                    self.environment[name] = self.here(value)
        elif keyword == "WORKDIR":
            self.place = Path(self.here(rest))
            self.place.mkdir(parents=True, exist_ok=True)
        elif keyword == "COPY":
            subprocess.run(["git", "clone", "--quiet", ROOT, self.place], check=True)
        elif keyword == "RUN":
            return self.run(rest)
        elif keyword == "CMD":
            return self.start(json.loads(rest))
        return "done"

    def run(self, command):
        if self.user == "root":
            return "left out: only root may do this"
        replaced = next((other for text, other in self.instead if text in command), None)
        begun = time.monotonic()
        subprocess.run(["sh", "-c", replaced or self.here(command)], cwd=self.place, env=self.environment, check=True)
        return f"{f'replaced by: {replaced}; ' if replaced else ''}done in {time.monotonic() - begun:.0f} s"

    def start(self, command):
        """Starts Jupyter on another port, which is not open to others, and asks for its kernels."""
        command = [part.replace("8888", str(PORT)).replace("0.0.0.0", "127.0.0.1") for part in command]
        asks = ["--IdentityProvider.token=steps", "--allow-root"]
        jupyter = subprocess.Popen([*command, *asks], cwd=self.place, env=self.environment)
        try:
            return f"Jupyter offers {', '.join(self.kernels(jupyter))}"
        finally:
            jupyter.terminate()
            jupyter.wait(30)

    def kernels(self, jupyter):
        address = f"http://127.0.0.1:{PORT}/api/kernelspecs?token=steps"
        for _ in range(60):
            time.sleep(1)
            if jupyter.poll() is not None:
                sys.exit(f"Jupyter ended with status {jupyter.returncode}")
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    return json.load(answer)["kernelspecs"]
            except OSError:
                continue
        sys.exit("Jupyter does not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instead", action="append", default=[], nargs=2, metavar=("TEXT", "COMMAND"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    steps = Steps(arguments.folder.resolve(), arguments.instead)
    for keyword, rest in instructions((ROOT / "binder/Dockerfile").read_text()):
        print(f"{keyword} {rest}", flush=True)
        print(f"  {steps.take(keyword, rest)}", flush=True)


if __name__ == "__main__":
    main()
