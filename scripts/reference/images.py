"""Writes image files of many formats and the pixels that Pillow reads from them: tests/data/images.safetensors.

Each file is a tensor of bytes, and its pixels are a float32 tensor [3, height, width], `{file}.values`, composited over
white; images.json has the SHA-256 of each file. Of animations and pages the first is meant. The pictures are smooth,
because decoders of JPEG round differently.

    python scripts/reference/images.py
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
WIDTH, HEIGHT = 21, 14


def picture(mode: str) -> Image.Image:
    """Returns a smooth picture of a Pillow mode."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / 7 + c) * np.cos(y / 5 + c / 2) for c in range(4)]
    planes = np.stack([np.round(127.5 + 110 * wave) for wave in waves], axis=-1).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(planes[..., 0].astype(np.uint16) * 257 + (x % 7).astype(np.uint16))
    rgba = Image.fromarray(planes)
    match mode:
        case "RGBA":
            return rgba
        case "CMYK":
            return Image.fromarray(planes, mode="CMYK")
        case "LA":
            return rgba.convert("LA")
        case "P":
            return rgba.convert("RGB").quantize(16)
        case _:
            return rgba.convert("RGB").convert(mode)


def pixels(file: bytes) -> np.ndarray:
    """Returns Pillow's pixels, [3, height, width] in [0, 1], over white."""
    image = Image.open(io.BytesIO(file))
    if image.mode in ("I;16", "I;16B", "I"):
        return np.repeat((np.asarray(image, np.float64) / 65535)[None], 3, axis=0)
    if image.mode == "CMYK":
        rgb = np.asarray(image.convert("RGB"), np.float64) / 255
        return rgb.transpose(2, 0, 1)
    rgba = np.asarray(image.convert("RGBA"), np.float64) / 255
    return (rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]).transpose(2, 0, 1)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Returns the file that Pillow writes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files() -> dict[str, bytes]:
    """Returns all files by name."""
    made = {f"{mode}.png": encoded(picture(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    made |= {f"{mode}.bmp": encoded(picture(mode), "BMP") for mode in ("1", "L", "P", "RGB")}
    made |= {f"{mode}.gif": encoded(picture(mode), "GIF") for mode in ("L", "P")}
    for mode, compression in itertools.product(("1", "L", "RGB", "RGBA", "I;16"), ("raw", "tiff_lzw", "tiff_deflate")):
        made[f"{mode}-{compression}.tiff"] = encoded(picture(mode), "TIFF", compression=compression)
    made["CMYK.tiff"] = encoded(picture("CMYK"), "TIFF")
    made["packbits.tiff"] = encoded(picture("RGB"), "TIFF", compression="packbits")
    for mode, progressive in itertools.product(("L", "RGB", "CMYK"), (False, True)):
        name = f"{mode}-{'progressive' if progressive else 'baseline'}.jpg"
        made[name] = encoded(picture(mode), "JPEG", quality=98, subsampling=0, progressive=progressive)
    made["no-end.jpg"] = made["RGB-baseline.jpg"][:-2]
    made["restarts.jpg"] = encoded(picture("RGB"), "JPEG", quality=98, subsampling=0, restart_marker_blocks=2)
    made |= {f"{mode}.webp": encoded(picture(mode), "WEBP", lossless=True, exact=True) for mode in ("RGB", "RGBA")}
    frames = [picture("RGB"), picture("RGB").rotate(180)]
    for kind, options in (("gif", {}), ("png", {}), ("webp", {"lossless": True}), ("tiff", {})):
        made[f"two-frames.{kind}"] = encoded(
            frames[0], kind.upper(), save_all=True, append_images=frames[1:], **options
        )
    transparent = picture("P")
    made["transparent.gif"] = encoded(transparent, "GIF", transparency=3)
    return made


def main() -> None:
    """Writes the files."""
    tensors, cases = {}, []
    for name, data in files().items():
        tensors[name] = np.frombuffer(data, np.uint8)
        # Pillow opens a larger file without end marker, but not so small a one.
        whole = data + b"\xff\xd9" if name == "no-end.jpg" else data
        tensors[f"{name}.values"] = np.ascontiguousarray(pixels(whole), np.float32)
        cases.append({"file": name, "sha256": hashlib.sha256(data).hexdigest()})
    save_file(tensors, DATA / "images.safetensors")
    (DATA / "images.safetensors").chmod(0o644)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (DATA / "images.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
