"""Classifies the photos with EfficientNet-Lite0 in PyTorch: writes answers.json, which assets/README.md shows.

Needed only when photos change, not to rebuild assets/. The definition of the network comes from another package, so
this checks the shipped weights independently of the library:

    python3 -m pip install torch pillow safetensors efficientnet-lite-pytorch==0.1.0
    python3 scripts/assets/answers.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def prepare(path: Path) -> torch.Tensor:
    """Prepares a photo: short side 256 (bicubic, antialiased), central 224 x 224, (255 x - 127) / 128."""
    image = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].double()
    scale = 256 / min(image.shape[2:])
    size = [round(side * scale) for side in image.shape[2:]]
    image = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 255)
    top, left = (size[0] - 224) // 2, (size[1] - 224) // 2
    return (image[:, :, top : top + 224, left : left + 224] - 127) / 128


def main() -> None:
    """Writes the two most likely classes of each photo with their probabilities."""
    network = EfficientNet.from_name("efficientnet-lite0").double().eval()
    missing, unexpected = network.load_state_dict(load_file(ASSETS / "networks/efficientnet_lite0.safetensors"), False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    names = json.loads((ASSETS / "networks/imagenet_classes.json").read_text())
    answers = {}
    for photo in json.loads((ASSETS / "photos/photos.json").read_text()):
        with torch.no_grad():
            likeliest = network(prepare(ASSETS / "photos" / photo["file"]))[0].softmax(0).topk(2)
        answers[photo["file"]] = {
            "photo_sha256": photo["sha256"],
            "likeliest": [
                {"class": int(index), "name": names[index], "probability": round(float(value), 4)}
                for value, index in zip(*likeliest, strict=True)
            ],
        }
    text = json.dumps(answers, indent=1, ensure_ascii=False) + "\n"
    Path(__file__).with_name("answers.json").write_text(text)


if __name__ == "__main__":
    main()
