"""Writes sound files of many formats and the samples that libsndfile reads from them: tests/data/sounds.safetensors.

Each file is a tensor of bytes, and its samples, averaged over channels, are a float32 tensor, `{file}.values`;
sounds.json has the SHA-256, the sample rate and the decoder of each file. Lossless formats are written by libsndfile,
or from chunks for headers that it does not write. Where libsndfile does not read a file (no pad byte, no length), the
values are those of the same samples behind an ordinary header. Those of AAC, Apple Lossless and LAME are FFmpeg's.

    python scripts/reference/sounds.py
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile
from safetensors.numpy import save_file

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
RATE, FRAMES, LOSSY_FRAMES = 16_000, 90, 3_000
WAV_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
AIFF_SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
PCM_FAMILY = bytes.fromhex("000000001000800000aa00389b71")
LIST = b"LIST" + struct.pack("<I", 10) + b"INFOabcdef"
ODD = b"LIST" + struct.pack("<I", 7) + b"INFOabc"


@dataclass
class Files:
    """The files, their samples, and what sounds.json says of them."""

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    cases: list[dict[str, object]] = field(default_factory=list)

    def add(self, name: str, data: bytes, values: np.ndarray | None = None, decoder: str = "libsndfile") -> None:
        """Adds a file; without `values`, libsndfile reads it."""
        if values is None:
            values, _ = soundfile.read(io.BytesIO(data), always_2d=True)
        mono = values if values.ndim == 1 else values.mean(axis=1)
        self.tensors[name] = np.frombuffer(data, np.uint8)
        self.tensors[f"{name}.values"] = mono.astype(np.float32)
        self.cases.append({"file": name, "sha256": hashlib.sha256(data).hexdigest(), "rate": RATE, "decoder": decoder})


def signal(frames: int, channels: int, *, full_scale: bool) -> np.ndarray:
    """Returns tones of another frequency in each channel; `full_scale` puts the extremes in two samples."""
    t = np.arange(frames)[:, None] / RATE
    hz = 440 * np.arange(1, channels + 1)[None, :]
    x = 0.45 * np.sin(2 * np.pi * hz * t + 0.3) + 0.05 * np.sin(2 * np.pi * 3170 * t)
    if full_scale:
        x[5], x[9] = 1 - 2**-20, -1
    return x


def written(container: str, subtype: str, x: np.ndarray) -> bytes:
    """Returns the file that libsndfile writes."""
    out = io.BytesIO()
    soundfile.write(out, x, RATE, format=container, subtype=subtype)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """Returns a RIFF chunk with its pad byte."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def fmt(tag: int, channels: int, container: int, bits: int, extension: bytes = b"") -> bytes:
    """Returns a fmt chunk for samples of `container` bytes."""
    align = channels * container
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, RATE, RATE * align, align, bits) + extension)


def extensible(channels: int, container: int, valid: int, tag: int = 1) -> bytes:
    """Returns an extensible fmt chunk."""
    extension = struct.pack("<HHIH", 22, valid, (1 << channels) - 1, tag) + PCM_FAMILY
    return fmt(0xFFFE, channels, container, 8 * container, extension)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """Returns a RIFF file; `size` overrides the length that it states."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def pcm(x: np.ndarray, container: int, valid: int) -> bytes:
    """Returns samples of `valid` bits, left-aligned in `container` bytes."""
    scaled = np.clip(np.round(x * 2 ** (valid - 1)), -(2 ** (valid - 1)), 2 ** (valid - 1) - 1)
    whole = (scaled.astype(np.int64) << (8 * container - valid)).astype("<i8").reshape(-1, 1)
    if container == 1:
        whole = whole + 128
    return whole.view(np.uint8)[:, :container].tobytes()


def add_lossless(files: Files) -> None:
    """Adds the formats, sample types and numbers of channels that libsndfile writes without loss or as logarithms."""
    for container, subtype, channels in itertools.product(("WAV", "WAVEX", "RF64"), WAV_SUBTYPES, (1, 2, 3, 6)):
        if container == "RF64" and channels not in (1, 2):
            continue
        files.add(
            f"{container}-{subtype}-{channels}.wav",
            written(container, subtype, signal(FRAMES, channels, full_scale=True)),
        )
    for subtype, channels in itertools.product(AIFF_SUBTYPES, (1, 2, 6)):
        files.add(f"{subtype}-{channels}.aiff", written("AIFF", subtype, signal(FRAMES, channels, full_scale=True)))
    for subtype, channels in itertools.product(("PCM_S8", "PCM_16", "PCM_24"), (1, 2, 6)):
        files.add(f"{subtype}-{channels}.flac", written("FLAC", subtype, signal(FRAMES, channels, full_scale=True)))


def add_containers(files: Files) -> None:
    """Adds WAV files whose valid bits do not fill the bytes of a sample."""
    for container, valid, channels in itertools.product((2, 3, 4), (12, 16, 20, 24, 31, 32), (1, 2, 6)):
        if not 8 * (container - 1) < valid <= 8 * container and (container, valid) not in ((4, 24), (4, 20), (4, 16)):
            continue
        data = chunk(b"data", pcm(signal(FRAMES, channels, full_scale=True), container, valid))
        name = f"{valid}in{8 * container}-{channels}.wav"
        files.add(f"extensible-{name}", riff(extensible(channels, container, valid), data))
        if 8 * (container - 1) < valid:
            files.add(f"plain-{name}", riff(fmt(1, channels, container, valid), data))


def add_chunks(files: Files) -> None:
    """Adds WAV files with other orders of chunks and other stated lengths."""
    for container, bits, channels in ((1, 8, 1), (2, 16, 1), (2, 16, 2), (3, 24, 1), (4, 32, 2)):
        x = signal(FRAMES + (container * channels) % 2, channels, full_scale=True)
        samples, header, kind = pcm(x, container, bits), fmt(1, channels, container, bits), f"{bits}-{channels}"
        plain = riff(header, chunk(b"data", samples))
        values, _ = soundfile.read(io.BytesIO(plain), always_2d=True)
        data = chunk(b"data", samples)
        head = {
            size: b"data" + struct.pack("<I", size) + samples for size in (0, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF)
        }
        variants = {
            "plain": plain,
            "list-first": riff(LIST, header, data),
            "list-between": riff(header, LIST, data),
            "list-last": riff(header, data, LIST),
            "odd-list": riff(header, ODD + b"\0", data),
            "odd-list-without-pad": riff(header, ODD, data),
            "fact-and-junk": riff(chunk(b"JUNK", bytes(28)), header, chunk(b"fact", struct.pack("<I", len(x))), data),
            "unknown-chunk": riff(header, chunk(b"xyz ", b"abc"), data),
            "fmt-18": riff(fmt(1, channels, container, bits, b"\0\0"), data),
            "fmt-last": riff(data, header),
            "data-ff": riff(header, head[0xFFFF_FFFF], size=0xFFFF_FFFF),
            "data-sox": riff(header, head[0x7FFF_F000], size=0x7FFF_F024),
            "data-arecord": riff(header, head[0x8000_0000], size=0x8000_0024),
            "data-0": riff(header, head[0], size=0),
            "riff-0": riff(header, data, size=0),
        }
        for name, file in variants.items():
            files.add(f"{name}-{kind}.wav", file, values, "libsndfile, the same samples behind an ordinary header")


def ffmpeg(arguments: list[str], data: bytes, suffix: str) -> bytes:
    """Returns what FFmpeg makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in", Path(folder) / f"out{suffix}"
        source.write_bytes(data)
        exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), *exact, *arguments, str(target)]
        subprocess.run(command, check=True)
        return target.read_bytes()


def add_lossy(files: Files) -> None:
    """Adds formats of phones and of the web."""
    for channels in (1, 2):
        x = signal(LOSSY_FRAMES, channels, full_scale=False)
        source = written("WAV", "PCM_16", x)
        files.add(f"vorbis-{channels}.ogg", written("OGG", "VORBIS", x))
        files.add(f"mp3-{channels}.mp3", written("MP3", "MPEG_LAYER_III", x))
        for name, arguments, suffix in (
            ("aac", ["-c:a", "aac", "-b:a", "48k"], ".m4a"),
            ("alac", ["-c:a", "alac"], ".m4a"),
            ("adts", ["-c:a", "aac", "-b:a", "48k"], ".aac"),
            ("lame", ["-c:a", "libmp3lame", "-b:a", "48k"], ".mp3"),
            ("no-header", ["-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0"], ".mp3"),
            ("flac", ["-c:a", "flac"], ".oga"),
        ):
            encoded = ffmpeg(arguments, source, suffix)
            decoded = ffmpeg(["-c:a", "pcm_f64le"], encoded, ".wav")
            values, _ = soundfile.read(io.BytesIO(decoded), always_2d=True)
            files.add(f"{name}-{channels}{suffix}", encoded, values, "FFmpeg")


def main() -> None:
    """Writes the files."""
    files = Files()
    for add in (add_lossless, add_containers, add_chunks, add_lossy):
        add(files)
    save_file(files.tensors, DATA / "sounds.safetensors")
    (DATA / "sounds.safetensors").chmod(0o644)
    lines = ",\n".join(json.dumps(case) for case in files.cases)
    (DATA / "sounds.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
