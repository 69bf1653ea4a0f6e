"""Writes what plenoptic itself computes on the tiny network of recipes.py: tests/data/plenoptic.{safetensors,json}.

Everything is computed by plenoptic 2.1.1 in float64, on the network, target and start of
tests/data/recipes.safetensors:

- two_layers: `po.Metamer` of a model that returns both ReLUs as one vector, with plenoptic's defaults (mean squared
  error, 0.1 times the range penalty, Adam 0.01 with amsgrad), 24 steps.
- penalty: `po.Metamer` of the second ReLU with `penalty_function` the total variation, mean of sqrt(dx^2 + dy^2 + 1e-6)
  - 1e-3 with differences to the next pixel, and `penalty_lambda` 0.5; the start is clipped to [0, 1] by neither.
- eigendistortions: `po.Eigendistortion(target, model).synthesize(method="exact")` at the second ReLU: all eigenvalues,
  and the first and the last eigenvectors.

    pip install plenoptic==2.1.1    # beside the packages of requirements.txt
    python scripts/reference/plenoptic_goals.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import plenoptic as po
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
STEPS = 24


class Network(torch.nn.Module):
    """The network of recipes.py up to its second ReLU; with both layers, the two ReLUs as one vector."""

    def __init__(self, weights: dict[str, Tensor], both: bool) -> None:
        super().__init__()
        self.both = both
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), value)

    def forward(self, x: Tensor) -> Tensor:
        """Returns activations with a batch dimension."""
        y = F.relu(F.conv2d(x, self.conv1_weight, self.conv1_bias, 1, 1))
        z = F.relu(F.conv2d(y, self.conv2_weight, self.conv2_bias, 2, 1))
        return torch.cat([y.flatten(1), z.flatten(1)], 1) if self.both else z


def total_variation(x: Tensor) -> Tensor:
    """The mean over all values; differences behind the border are 0."""
    across = F.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1))
    down = F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    return ((across.square() + down.square() + 1e-6).sqrt() - 1e-3).mean()


def metamer(
    model: torch.nn.Module, target: Tensor, start: Tensor, penalty: Callable[[Tensor], Tensor], weight: float
) -> tuple[list[float], Tensor]:
    """Returns the objective before each step and the pixels after the last."""
    met = po.Metamer(target, model, penalty_function=penalty, penalty_lambda=weight)
    met.setup(start.clone(), optimizer=torch.optim.Adam, optimizer_kwargs={"lr": 0.01, "amsgrad": True})
    met.synthesize(max_iter=STEPS, stop_criterion=0)
    return [float(loss) for loss in met.losses[:STEPS]], met.metamer.detach()


def main() -> None:
    """Writes both files."""
    weights = {name: value.double() for name, value in load_file(DATA / "recipes.safetensors").items()}
    target, start = weights["target"], weights["start"]
    layers = {name: value for name, value in weights.items() if name.startswith("conv")}
    both, last = (Network(layers, both).eval() for both in (True, False))
    losses: dict[str, list[float]] = {}
    tensors: dict[str, Tensor] = {}
    for name, model, penalty, weight in [
        ("two_layers", both, po.regularize.penalize_range, 0.1),
        ("penalty", last, total_variation, 0.5),
    ]:
        losses[name], final = metamer(model, target, start, penalty, weight)
        tensors[f"{name}.final"] = final.float()
    eigen = po.Eigendistortion(target, last)
    eigen.synthesize(method="exact")
    values = eigen.eigenvalues.detach()
    tensors["eigenvalues"] = values.float()
    tensors["most"] = eigen.eigendistortions[0].detach().float()
    tensors["least"] = eigen.eigendistortions[-1].detach().float()
    description = {
        "torch": torch.__version__,
        "plenoptic": version("plenoptic"),
        "losses": losses,
        "eigenvalues": [float(value) for value in values],
    }
    save_file({name: value.contiguous() for name, value in tensors.items()}, DATA / "plenoptic.safetensors")
    (DATA / "plenoptic.safetensors").chmod(0o644)
    (DATA / "plenoptic.json").write_text(json.dumps(description, indent=1) + "\n")
    print(losses["two_layers"][0], losses["two_layers"][-1], values[:3], values[-3:])


if __name__ == "__main__":
    main()
