"""Builds the wheel of the kernel: `pip install` gives a kernel without a quarter of an hour of compiling.

    python3 scripts/wheel.py                                        for this machine
    python3 scripts/wheel.py --target aarch64-unknown-linux-gnu     for another, after `rustup target add`

Needs maturin, and ziglang, which links for the manylinux tag and for other targets (`pip install maturin ziglang`).
The wheel holds the program `metamers-kernel` and, below share/metamers, the library as `cargo package` makes it, the
shipped assets, the notebooks and the scripts that execute them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "target" / "wheel"
SHARE = STAGE / "data" / "data" / "share" / "metamers"
# What the kernel recognises an installed wheel by (kernel-spec/lab/src/project.rs).
MARKER = "installed-by-wheel"
MAX_BYTES = 100_000_000
# glibc 2.28: RHEL 8, Debian 10, Ubuntu 20.04 and newer.
COMPATIBILITY = "manylinux_2_28"


def run(command: list[str], folder: Path = ROOT) -> str:
    """Runs a command, with its messages shown; returns what it prints."""
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def tracked(*folders: str) -> list[Path]:
    """Returns the committed files of these folders, relative to the root."""
    return [Path(line) for line in run(["git", "ls-files", "-z", *folders]).split("\0") if line]


def stage() -> None:
    """Gathers what the wheel installs below share/metamers."""
    packages = STAGE / "package"
    # Wheels that were built for other targets stay in dist.
    for folder in (STAGE / "data", packages):
        shutil.rmtree(folder, ignore_errors=True)
    SHARE.mkdir(parents=True)
    run(
        [
            "cargo",
            "package",
            "--quiet",
            "--no-verify",
            "--allow-dirty",
            "--package",
            "metamers",
            "--target-dir",
            str(packages),
        ]
    )
    (crate,) = (packages / "package").glob("metamers-*.crate")
    with tarfile.open(crate) as archive:
        for member in archive:
            # The first component is the name and version of the crate.
            path = Path(*Path(member.name).parts[1:])
            if member.isfile() and path.name not in ("Cargo.toml.orig", ".cargo_vcs_info.json"):
                copy(archive.extractfile(member).read(), path)  # type: ignore[union-attr]
    for path in tracked("assets", "notebooks", "kernel-spec/lab/*.py"):
        if path.parts[:2] != ("assets", "pictures"):
            copy((ROOT / path).read_bytes(), path)
    copy(b"", Path(MARKER))


def copy(data: bytes, path: Path) -> None:
    target = SHARE / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def build(target: str | None, out: Path) -> Path:
    """Builds the wheel; returns its path."""
    command = [
        sys.executable,
        "-m",
        "maturin",
        "build",
        "--release",
        "--locked",
        "--zig",
        "--compatibility",
        COMPATIBILITY,
    ]
    command += ["--manifest-path", "kernel-spec/Cargo.toml", "--out", str(out)]
    command += ["--target", target] if target else []
    before = set(out.glob("*.whl"))
    subprocess.run(command, cwd=ROOT, check=True)
    new = set(out.glob("*.whl")) - before
    return new.pop() if new else max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/wheel.py", description="Build the wheel of the kernel.")
    parser.add_argument("--target", help="the target's triple; default: this machine")
    parser.add_argument("--out", type=Path, default=STAGE / "dist", help="folder of the wheel")
    arguments = parser.parse_args()
    stage()
    arguments.out.mkdir(parents=True, exist_ok=True)
    wheel = build(arguments.target, arguments.out)
    size = wheel.stat().st_size
    print(f"{wheel}: {size / 1e6:.1f} MB")
    if size > MAX_BYTES:
        print(f"error: above PyPI's limit of {MAX_BYTES / 1e6:.0f} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
