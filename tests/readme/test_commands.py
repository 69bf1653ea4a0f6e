"""Runs every command of README.md and docs/, as it is written there, in this checkout. Needs the set-up of `cargo lab`.

With commands as arguments, runs these alone. Fails if a document has a command for which nothing is planned here. A
command that is a step of .ci/run is not run a second time: it is compared with .ci/run. Files that a command changes
are put back.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from commands import ROOT, all_commands, commands_of

LAB_START_SECONDS = float(os.environ.get("METAMERS_LAB_START_SECONDS", "240"))
CI = (ROOT / ".ci" / "run").read_text()
PLAN = """
networks = ["efficientnet_lite0"]
stimuli = ["photos/dog.jpg"]
stages = ["stem"]
seeds = [{seeds}]
evaluations = 2
folder = "results"
"""


def run(command: str, folder: Path = ROOT) -> str:
    """Runs a command line in a shell; returns its output and fails if its exit status is not 0."""
    pipe, nothing, stdout = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
    line = ["bash", "-c", command]
    done = subprocess.run(line, cwd=folder, stdin=nothing, stdout=pipe, stderr=stdout, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def restored(*patterns: str) -> Iterator[None]:
    """Puts files back as they were, and removes those that are new."""
    old = {path: path.read_bytes() for pattern in patterns for path in ROOT.glob(pattern)}
    try:
        yield
    finally:
        for path in {path for pattern in patterns for path in ROOT.glob(pattern)} - old.keys():
            path.unlink()
        for path, data in old.items():
            if path.read_bytes() != data:
                path.write_bytes(data)


def in_ci(test: unittest.TestCase, command: str) -> None:
    """The command is a step of .ci/run, perhaps with more options."""
    lines = [line for line in CI.splitlines() if line == command or line.startswith(command + " ")]
    test.assertTrue(lines, f"`{command}` is not a step of .ci/run, so nothing runs it")


def executes(test: unittest.TestCase, command: str) -> None:
    """The notebooks are executed: on a bare machine (tests/bare), because .ci/run has a step for it."""
    if os.environ.get("METAMERS_BARE"):
        with restored("notebooks/*.ipynb"), tempfile.TemporaryDirectory() as folder:
            run(command.replace(" DIR", f" {shlex.quote(folder)}"))
    else:
        test.assertRegex(CI, r"(?m)^cargo lab --run notebooks/\S*1\S*\.ipynb --out ")


def opens_lab(test: unittest.TestCase, command: str) -> None:
    """JupyterLab answers, and Ctrl-C ends it with status 0."""
    words = shlex.split(command)
    port = int(words[words.index("--port") + 1]) if "--port" in words else None
    with socket.socket() as probe:
        if port and probe.connect_ex(("127.0.0.1", port)) == 0:
            test.skipTest(f"port {port} is in use on this machine")
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryDirectory() as config:
        environment = dict(os.environ)
        if os.geteuid() == 0:
            # Jupyter refuses to run as root, as which the checks may run.
            (Path(config) / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}')
            environment["JUPYTER_CONFIG_DIR"] = config
        # A browser that opens nothing: that JupyterLab works in one is tested in kernel-spec/tests/browser.
        # A shell starts its background jobs with Ctrl-C ignored.
        words = ["env", "--default-signal=INT", "BROWSER=true", *words]
        nothing = subprocess.DEVNULL
        lab = subprocess.Popen(
            words,
            cwd=ROOT,
            stdin=nothing,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        try:
            page = wait_for_page(test, lab, output, port)
            test.assertIn("JupyterLab", page)
        finally:
            # A terminal's Ctrl-C goes to the whole group; JupyterLab asks for nothing, as it is told to answer yes.
            lab.send_signal(signal.SIGINT)
            status = lab.wait(60)
        test.assertEqual(status, 0)


def wait_for_page(test: unittest.TestCase, lab: subprocess.Popen[bytes], output: object, port: int | None) -> str:
    """Returns the page at the address that JupyterLab prints."""
    deadline = time.monotonic() + LAB_START_SECONDS
    while time.monotonic() < deadline:
        output.seek(0)  # type: ignore[attr-defined]
        text = output.read()  # type: ignore[attr-defined]
        test.assertIsNone(lab.poll(), text)
        for word in text.split():
            if word.startswith("http://127.0.0.1:") and "token=" in word:
                if port:
                    test.assertIn(f":{port}/", word)
                with contextlib.suppress(OSError), urllib.request.urlopen(word, timeout=10) as answer:
                    return answer.read().decode()
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{text}")


def runs(expected: str) -> Callable[[unittest.TestCase, str], None]:
    """The command succeeds and prints this text."""

    def check(test: unittest.TestCase, command: str) -> None:
        test.assertIn(expected, run(command))

    return check


def exports(test: unittest.TestCase, command: str) -> None:
    """The page is written beside the notebook."""
    with restored("notebooks/*.html"):
        run(command)
        (page,) = ROOT.glob("notebooks/*.html")
        # A live page holds the network.
        test.assertGreater(page.stat().st_size, 20_000_000 if "--live" in command else 100_000)


def strips(test: unittest.TestCase, command: str) -> None:
    """The notebooks lose their outputs."""
    with restored("notebooks/*.ipynb"):
        before = sum(path.stat().st_size for path in ROOT.glob("notebooks/*.ipynb"))
        run(command)
        after = sum(path.stat().st_size for path in ROOT.glob("notebooks/*.ipynb"))
        test.assertLess(after, before / 10)


def sweeps(expected: str) -> Callable[[unittest.TestCase, str], None]:
    """The command-line program, built as the tests build it, carries out a small plan."""

    def check(test: unittest.TestCase, command: str) -> None:
        arguments = command.removeprefix("cargo metamers ").replace("--task N", "--task 1")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "plan.toml").write_text(PLAN.format(seeds=", ".join(map(str, range(20)))))
            if arguments.endswith("--collect"):
                run(f"{program()} sweep plan.toml", folder)
            test.assertIn(expected, run(f"{program()} {arguments}", folder))

    return check


def program() -> str:
    """The path of the command-line program: METAMERS, or a new build; `cargo metamers` builds a release."""
    if "METAMERS" not in os.environ:
        run("cargo build --quiet --features cli --bin metamers")
    return shlex.quote(os.environ.get("METAMERS", str(ROOT / "target/debug/metamers")))


def writes_page(test: unittest.TestCase, command: str) -> None:
    """The command-line program writes a page with a network in it; tests/web opens it."""
    with tempfile.TemporaryDirectory() as name:
        run(f"{program()} {command.removeprefix('cargo metamers ')}", Path(name))
        (page,) = Path(name).glob("*.html")
        test.assertGreater(page.stat().st_size, 4_000_000)


def reproduces(test: unittest.TestCase, command: str) -> None:
    """A metamer of a sweep is made again from its file, to the same bits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.toml").write_text(PLAN.format(seeds=0))
        run(f"{program()} sweep plan.toml", folder)
        (folder / "results/results/0.metamer").rename(folder / "dog.metamer")
        again = run(f"{program()} {command.removeprefix('cargo metamers ')}", folder)
        test.assertRegex(again, r"(?m)^bit-identical")


def submits(test: unittest.TestCase, command: str) -> None:
    """Without Slurm the job script is written and the error says so; tests/slurm/run submits to a real one."""
    if shutil.which("sbatch"):
        test.skipTest("tests/slurm/run submits this on a Slurm of its own")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "plan.toml").write_text(PLAN.format(seeds=0))
        with test.assertRaisesRegex(AssertionError, "sbatch"):
            run(f"{program()} {command.removeprefix('cargo metamers ')}", Path(name))


def example(test: unittest.TestCase, command: str) -> None:
    """The example is one of this project and takes these arguments; .ci/run compiles all examples."""
    words = shlex.split(command)
    name = words[words.index("--example") + 1]
    source = (ROOT / "examples" / f"{name}.rs").read_text()
    test.assertIn("std::env::args", source, "the example takes no arguments")


def opens_reference(test: unittest.TestCase, command: str) -> None:
    """.ci/run builds the reference; opening it needs a person's browser."""
    test.assertIn(command.removesuffix(" --open"), CI)


# What is done with each command: the key is the command, or its beginning if it ends with *.
PLANNED: dict[str, Callable[[unittest.TestCase, str], None]] = {
    "cargo metamers reproduce dog.metamer": reproduces,
    "cargo lab": opens_lab,
    "cargo lab -- *": opens_lab,
    "cargo lab --user": lambda test, _: with_other_home(test),
    "cargo lab --fetch": runs("Fetched"),
    "cargo lab --run notebooks/01_your_first_metamer.ipynb": executes,
    "cargo lab --run notebooks/*.ipynb --out DIR": executes,
    "cargo lab --export *": exports,
    "cargo lab --strip *": strips,
    "cargo lab --sizes": runs("01_your_first_metamer.ipynb"),
    "cargo test": in_ci,
    "cargo doc --no-deps --open": opens_reference,
    "cargo metamers sweep plan.toml --dry-run": sweeps("stem"),
    "cargo metamers sweep plan.toml": sweeps("20"),
    "cargo metamers sweep plan.toml --slurm": submits,
    "cargo metamers sweep plan.toml --task *": sweeps(""),
    "cargo metamers sweep plan.toml --collect": sweeps("results.csv"),
    "cargo metamers list": sweeps("efficientnet_lite0"),
    "cargo metamers page *": writes_page,
    "cargo run --release --example *": example,
    "target/release/metamers-kernel --help": runs("install"),
}


def with_other_home(test: unittest.TestCase) -> None:
    """The kernel is registered in the data directory of Jupyter, here an empty one."""
    with tempfile.TemporaryDirectory() as name:
        run(f"JUPYTER_DATA_DIR={shlex.quote(name)} cargo lab --user --setup")
        test.assertTrue((Path(name) / "kernels/metamers/kernel.json").exists())


class Documents(unittest.TestCase):
    """One test for each command is added below."""

    def test_commands_are_found_in_blocks_and_spans(self) -> None:
        block = "```sh\ncargo c   # a comment\n\n```\n```rust\nlet cargo = 1;\n```\n"
        text = f"Run `cargo a` or `b`.\n{block}then `target/d --e`\n"
        self.assertEqual(commands_of(text), ["cargo a", "cargo c", "target/d --e"])

    def test_every_plan_has_its_command(self) -> None:
        unused = [key for key in PLANNED if not any(plan_of(command) == key for command in all_commands())]
        self.assertEqual(unused, [], "no document has these commands")


def plan_of(command: str) -> str | None:
    """Returns the key of the command in PLANNED; the longest that fits."""
    fits = [key for key in PLANNED if command == key or (key.endswith("*") and command.startswith(key[:-1]))]
    return max(fits, key=len, default=None)


def add_test(number: int, command: str) -> None:
    def test(self: unittest.TestCase) -> None:
        key = plan_of(command)
        self.assertIsNotNone(key, f"nothing is planned for `{command}`; add it to PLANNED in {__file__}")
        PLANNED[key or ""](self, command)

    test.__doc__ = f"`{command}`"
    setattr(Documents, f"test_{number:02}_command", test)


for number, command in enumerate(all_commands(), 1):
    add_test(number, command)

if __name__ == "__main__":
    chosen = [f"Documents.test_{all_commands().index(command) + 1:02}_command" for command in sys.argv[1:]]
    unittest.main(argv=[sys.argv[0], *chosen], verbosity=2)
