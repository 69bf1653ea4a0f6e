"""Writes PyTorch checkpoints for tests/networks/checkpoints.rs: target/checkpoints/{resnet50,attacker}.pth.

They are too large to commit.

`resnet50.pth` is the state dict of torchvision's ResNet-50 with the weights of `Checkpoint::random(0)`; `attacker.pth`
holds the same weights in the format of Feather et al. (2023): a dict whose `model` is the state dict of an
AttackerModel (of MadryLab's `robustness`) under DataParallel, which contains the network twice, the normalization, and
the training state.

    python scripts/reference/checkpoints.py
"""

from __future__ import annotations

import torch
import torchvision.models as models

from zoo import DATA, fill

OUT = DATA.parents[1] / "target" / "checkpoints"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    net = fill(models.resnet50(weights=None)).float()
    state = net.state_dict()
    torch.save(state, OUT / "resnet50.pth")
    wrapped = {"module.normalizer.new_mean": torch.zeros(3, 1, 1), "module.normalizer.new_std": torch.ones(3, 1, 1)}
    wrapped |= {f"module.model.{name}": tensor for name, tensor in state.items()}
    wrapped |= {f"module.attacker.normalize.{part}": torch.ones(3, 1, 1) for part in ("new_mean", "new_std")}
    wrapped |= {f"module.attacker.model.{name}": tensor for name, tensor in state.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    checkpoint = {
        "model": wrapped,
        "optimizer": optimizer.state_dict(),
        "schedule": {"last_epoch": 3},
        "epoch": 4,
        "amp": None,
    }
    torch.save(checkpoint, OUT / "attacker.pth")


if __name__ == "__main__":
    main()
