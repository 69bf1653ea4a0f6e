"""Builds the WebAssembly modules in assets/web, which pages that make metamers contain.

    python3 scripts/web.py             builds the modules and writes them with their manifest
    python3 scripts/web.py --check     compares the files with the manifest; builds nothing
    python3 scripts/web.py --current   also fails if the source files have changed since, as before a release

`relaxed` uses the fused multiply-add of relaxed SIMD, which gives the bits of a native run where the processor has it;
`fixed` is for browsers without relaxed SIMD, such as Safari; `threads` is `relaxed` with atomic instructions and shared
memory, for pages that a server isolates. Needs `rustup target add wasm32-unknown-unknown` and, for `threads`,
`rustup component add rust-src`.
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
FEATURES = {
    "relaxed": "+simd128,+relaxed-simd",
    "fixed": "+simd128",
    "threads": "+simd128,+relaxed-simd,+atomics,+bulk-memory,+mutable-globals",
}
# What a worker sets before it serves as a thread.
EXPORTS = ("__stack_pointer", "__tls_size", "__tls_align", "__wasm_init_tls")
# The same limit is in src/explorer/page/worker.js.
SHARED_MEMORY = ("--shared-memory", "--import-memory", f"--max-memory={1 << 31}", *(f"--export={e}" for e in EXPORTS))


def answer_of(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def file_name(name: str) -> str:
    return f"metamers-{name}.wasm.gz"


def build(name: str) -> bytes:
    """Builds a module; returns it compressed."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Panics name source files: without the paths of this machine.
    names = {ROOT: "metamers", cargo_home: "cargo", answer_of("rustc", "--print", "sysroot"): "rust"}
    remap = "".join(f" --remap-path-prefix={path}={name}" for path, name in names.items())
    flags = f"-C target-feature={FEATURES[name]}{remap}"
    command = ["cargo", "build", "--locked", "--profile", "web", "--target", TARGET, "--package", "metamers-web"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target")}
    if name == "threads":
        flags += "".join(f" -C link-arg={argument}" for argument in SHARED_MEMORY)
        # The standard library that comes with Rust has no atomic instructions; the variable lets stable build it.
        command.append("-Zbuild-std=std,panic_abort")
        environment["RUSTC_BOOTSTRAP"] = "1"
    environment["RUSTFLAGS"] = flags
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    module = ROOT / "target" / TARGET / "web" / "metamers_web.wasm"
    return gzip.compress(module.read_bytes(), compresslevel=9, mtime=0)


def describe(data: bytes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def sources() -> str:
    """The SHA-256 of the source files that a module is built from."""
    # Not what stands in the folders `page`: HTML and scripts that a program puts into pages.
    found = [path for folder in ("src", "web") for path in (ROOT / folder).rglob("*") if path.is_file()]
    files = [path for path in found if path.parent.name != "page"]
    digest = hashlib.sha256()
    for path in sorted([*files, ROOT / "Cargo.toml", ROOT / "Cargo.lock"]):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def check(is_release: bool) -> int:
    """Compares the modules with the manifest, and the source files with those that they were built from."""
    manifest = json.loads(MANIFEST.read_text())
    expected = manifest["files"]
    if set(expected) != {file_name(name) for name in FEATURES}:
        print("error: assets/web/manifest.json lacks a module; build them: python3 scripts/web.py", file=sys.stderr)
        return 1
    for name, entry in expected.items():
        if describe((FOLDER / name).read_bytes()) != entry:
            print(
                f"error: assets/web/{name} differs from its manifest; build it: python3 scripts/web.py", file=sys.stderr
            )
            return 1
    print(f"{len(expected)} modules match assets/web/manifest.json")
    if manifest.get("sources") != sources():
        print(f"{'error' if is_release else 'note'}: they were built from other source files", file=sys.stderr)
        return int(is_release)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/web.py", description="Build the modules in assets/web.")
    parser.add_argument("--check", action="store_true", help="only compare the files with the manifest")
    parser.add_argument("--current", action="store_true", help="--check, and fail if the source files have changed")
    options = parser.parse_args()
    if options.check or options.current:
        return check(options.current)
    built_from = sources()
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in FEATURES:
        data = build(name)
        path = FOLDER / file_name(name)
        path.write_bytes(data)
        files[path.name] = describe(data)
        print(f"{path.relative_to(ROOT)}: {len(data) / 1e6:.2f} MB")
    manifest = {"rustc": answer_of("rustc", "--version"), "sources": built_from, "files": files}
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
