"""Builds the WebAssembly modules in assets/web, which pages that make metamers contain.

    python3 scripts/web.py             builds both modules and writes them with their manifest
    python3 scripts/web.py --check     compares the files with the manifest; builds nothing

`relaxed` uses the fused multiply-add of relaxed SIMD, which gives the bits of a native run where the processor has it;
`fixed` is for browsers without relaxed SIMD, such as Safari. Needs `rustup target add wasm32-unknown-unknown`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "assets" / "web"
MANIFEST = FOLDER / "manifest.json"
TARGET = "wasm32-unknown-unknown"
FEATURES = {"relaxed": "+simd128,+relaxed-simd", "fixed": "+simd128"}


def build(features: str) -> bytes:
    """Builds a module; returns it compressed."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Panics name source files: without the paths of this machine.
    remap = f"--remap-path-prefix={ROOT}=metamers --remap-path-prefix={cargo_home}=cargo"
    flags = f"-C target-feature={features} {remap}"
    command = ["cargo", "build", "--locked", "--profile", "web", "--target", TARGET, "--package", "metamers-web"]
    environment = os.environ | {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(ROOT / "target")}
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    module = ROOT / "target" / TARGET / "web" / "metamers_web.wasm"
    return gzip.compress(module.read_bytes(), compresslevel=9, mtime=0)


def describe(data: bytes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def check() -> int:
    """Compares the modules with the manifest."""
    expected = json.loads(MANIFEST.read_text())["files"]
    for name, entry in expected.items():
        if describe((FOLDER / name).read_bytes()) != entry:
            print(
                f"error: assets/web/{name} differs from its manifest; build it: python3 scripts/web.py", file=sys.stderr
            )
            return 1
    print(f"{len(expected)} modules match assets/web/manifest.json")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/web.py", description="Build the modules in assets/web.")
    parser.add_argument("--check", action="store_true", help="only compare the files with the manifest")
    if parser.parse_args().check:
        return check()
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, features in FEATURES.items():
        data = build(features)
        path = FOLDER / f"metamers-{name}.wasm.gz"
        path.write_bytes(data)
        files[path.name] = describe(data)
        print(f"{path.relative_to(ROOT)}: {len(data) / 1e6:.2f} MB")
    rustc = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    MANIFEST.write_text(json.dumps({"rustc": rustc, "files": files}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
