"""The folders of the word network's programs, and the voices of the validation set."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "target" / "words"
PACKAGES = CACHE / "packages"
VOICES = CACHE / "voices"

# Kokoro's voices that are never trained on; they select the training step that is kept.
VALIDATION_KOKORO = {"af_sarah", "am_michael", "bf_emma", "bm_george"}
