"""Writes trajectories of the three published recipes on a tiny network: tests/data/recipes.{safetensors,json}.

Network: convolution 3->4 (3x3, stride 1, padding 1), ReLU, convolution 4->6
(3x3, stride 2, padding 1), ReLU; the last ReLU is the matched stage. Weights,
target and start are float32 numbers; everything is computed in float64.

- feather2019: 1/2 sum (A'-A)^2, identity gradient at the matched ReLU, Adam
  (betas .9, .999, eps 1e-8) with lr 0.001 * 0.95^(t/1000), t = 0 at the first
  step and not rounded down; x clipped to [0,1] after each step.
- feather2023: norm2(A'-A)/norm2(A), identity gradient, x <- clamp(x - eta g /
  (norm2(g) + 1e-10)) to [0,1]; 8 blocks of 3 steps, eta 1, 1/2, ... 1/128.
- plenoptic: mean (A'-A)^2 + 0.1 * (sum of squared excess outside [0,1]), true
  gradient, Adam 0.01 with amsgrad, no clamp.

Adam is torch.optim.Adam: x -= lr mhat / (sqrt(vhat) + eps) with vhat = v /
(1 - beta2^t). TensorFlow 1, which the 2019 paper used, adds eps to sqrt(v)
instead; `tensorflow_epsilon_difference` in the JSON file is the difference
between the final images. With amsgrad the running maximum is of the uncorrected
v, corrected afterwards.

plenoptic, as in the 2.1.1 wheel on PyPI (1.0.1 has the same loss, penalty and
weight):
- loss.mse is a mean over all elements; regularize.penalize_range is a plain sum
  over all pixels of squared excess, not a mean; penalty_lambda 0.1.
- default start: torch.rand, then stretched so that its smallest value is exactly
  0 and its largest exactly 1.
- optimizer: torch.optim.Adam(lr=0.01, amsgrad=True), other settings default.
- `losses` contains the objective with the penalty before each step and the final
  one: one more than the number of steps.
- synthesize(max_iter=100, stop_criterion=1e-4, stop_iters_to_check=50) stops,
  after a step, when there are more than 50 losses and
  |losses[-50] - losses[-1]| < 1e-4. The difference is absolute, so a loss that
  rises by less also stops it, and it spans 49 steps. It never stops before step
  51.

    python scripts/reference/recipes.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
STEPS = 24
Weights = dict[str, Tensor]


def setting(seed: int) -> Weights:
    """Returns weights, target and start; some pixels of the start are close to 0 or 1, so that clipping acts."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> Tensor:
        return torch.randn(*shape, generator=g) * scale

    start = torch.rand(1, 3, 12, 10, generator=g)
    start.view(-1)[::9] = 0.0005
    start.view(-1)[4::9] = 0.9995
    return {
        "conv1.weight": normal(4, 3, 3, 3, scale=0.3),
        "conv1.bias": normal(4, scale=0.1),
        "conv2.weight": normal(6, 4, 3, 3, scale=0.25),
        "conv2.bias": normal(6, scale=0.1),
        "target": torch.rand(1, 3, 12, 10, generator=g),
        "start": start,
    }


def stage(w: Weights, x: Tensor, identity: bool) -> Tensor:
    """Computes the matched stage max(0, z), whose gradient is the identity or the true one."""
    y = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], 1, 1))
    z = F.conv2d(y, w["conv2.weight"], w["conv2.bias"], 2, 1)
    return z + (F.relu(z) - z).detach() if identity else F.relu(z)


class Run:
    """A run of a recipe: the loss and x before each step, the final loss, and the first gradient."""

    def __init__(
        self,
        w: Weights,
        objective: Callable[[Tensor], Tensor],
        step: Callable[[Tensor, int], None],
        steps: int,
        stop: bool = False,
    ) -> None:
        self.losses: list[float] = []
        self.xs: list[Tensor] = []
        self.first_gradient: Tensor | None = None
        x = w["x"]
        for t in range(steps):
            x.grad = None
            loss = objective(x)
            loss.backward()
            assert x.grad is not None
            if self.first_gradient is None:
                self.first_gradient = x.grad.clone()
            self.losses.append(loss.item())
            self.xs.append(x.detach().clone())
            with torch.no_grad():
                step(x, t)
            if stop and len(self.losses) > 50 and abs(self.losses[-50] - self.losses[-1]) < 1e-4:
                break
        self.final = x.detach().clone()
        self.final_loss = objective(x).item()


def prepare(w: Weights, dtype: torch.dtype) -> Weights:
    w = {name: value.to(dtype) for name, value in w.items()}
    w["x"] = w["start"].clone().requires_grad_(True)
    return w


def feather2019(weights: Weights, dtype: torch.dtype, tensorflow: bool = False) -> Run:
    w = prepare(weights, dtype)
    a = stage(w, w["target"], True)
    adam = torch.optim.Adam([w["x"]], lr=0.001, betas=(0.9, 0.999), eps=1e-8)

    def step(x: Tensor, t: int) -> None:
        rate = 0.001 * 0.95 ** (t / 1000)
        # With eps / sqrt(1 - beta2^t) the formula is TensorFlow 1's.
        eps = 1e-8 / math.sqrt(1 - 0.999 ** (t + 1)) if tensorflow else 1e-8
        adam.param_groups[0].update(lr=rate, eps=eps)
        adam.step()
        x.clamp_(0, 1)

    return Run(w, lambda x: 0.5 * (stage(w, x, True) - a).square().sum(), step, STEPS)


def feather2023(weights: Weights, dtype: torch.dtype) -> Run:
    w = prepare(weights, dtype)
    a = stage(w, w["target"], True)

    def step(x: Tensor, t: int) -> None:
        g = x.grad
        assert g is not None
        x.sub_(0.5 ** (t // 3) * g / (torch.linalg.vector_norm(g) + 1e-10)).clamp_(0, 1)

    norm = torch.linalg.vector_norm
    return Run(w, lambda x: norm(stage(w, x, True) - a) / norm(a), step, STEPS)


def plenoptic(weights: Weights, dtype: torch.dtype, steps: int = STEPS, stop: bool = False) -> Run:
    w = prepare(weights, dtype)
    a = stage(w, w["target"], False)
    adam = torch.optim.Adam([w["x"]], lr=0.01, amsgrad=True)

    def objective(x: Tensor) -> Tensor:
        excess = F.relu(-x).square().sum() + F.relu(x - 1).square().sum()
        return (stage(w, x, False) - a).square().mean() + 0.1 * excess

    return Run(w, objective, lambda x, t: adam.step(), steps, stop)


def describe(run: Run, single: Run) -> dict[str, Any]:
    moved = (run.final - run.xs[0]).norm()
    return {
        "losses": run.losses,
        "final_loss": run.final_loss,
        "outside": int(((run.final < 0) | (run.final > 1)).sum()),
        "at_edge": int(((run.final == 0) | (run.final == 1)).sum()),
        "float32_loss_deviation": max(abs(a - b) / a for a, b in zip(run.losses, single.losses, strict=True)),
        "float32_final_deviation": ((single.final.double() - run.final).norm() / moved).item(),
    }


def main() -> None:
    torch.set_num_threads(1)
    weights = setting(seed=20260102)
    tensors = {name: value.contiguous() for name, value in weights.items()}
    double = prepare(weights, torch.float64)
    tensors["target_activations"] = stage(double, double["target"], False).detach().float().contiguous()
    recipes: dict[str, Any] = {}
    for name, make in [("feather2019", feather2019), ("feather2023", feather2023), ("plenoptic", plenoptic)]:
        run, single = make(weights, torch.float64), make(weights, torch.float32)
        recipes[name] = describe(run, single)
        assert run.first_gradient is not None
        tensors[f"{name}.gradient"] = run.first_gradient.float()
        tensors[f"{name}.x"] = torch.cat(run.xs).float()
        tensors[f"{name}.final"] = run.final.float()
        print(name, run.losses[0], "->", run.final_loss, {k: v for k, v in recipes[name].items() if k != "losses"})
    other = feather2019(weights, torch.float64, tensorflow=True)
    same = feather2019(weights, torch.float64)
    recipes["feather2019"]["tensorflow_epsilon_difference"] = (other.final - same.final).abs().max().item()
    long = plenoptic(weights, torch.float64, 2000, stop=True)
    recipes["plenoptic"]["stops_after"] = len(long.losses)
    recipes["plenoptic"]["stop_margins"] = [abs(long.losses[i - 49] - long.losses[i]) for i in (-3, -2, -1)]
    print(
        recipes["feather2019"]["tensorflow_epsilon_difference"], len(long.losses), recipes["plenoptic"]["stop_margins"]
    )

    description = {
        "torch": torch.__version__,
        "network": "conv1 3x3 stride 1 padding 1, relu, conv2 3x3 stride 2 padding 1, relu (matched stage)",
        "losses": "before each of the 24 steps, the recipe's own loss; final_loss after the last",
        "tensors": "{recipe}.x [24,3,12,10] before each step, {recipe}.final after the last, "
        "{recipe}.gradient the first",
        "adam": "torch.optim.Adam's form: eps is added to sqrt(v / (1 - beta2^t))",
        "plenoptic_stop": "after a step: more than 50 losses held and |losses[-50] - losses[-1]| < 1e-4; "
        "stops_after steps here, stop_margins are that difference at the last three steps",
        "float32": "the same in float32: largest relative deviation of a loss; norm2 of the final x's deviation over "
        "norm2(final - start)",
        "recipes": recipes,
    }
    DATA.mkdir(parents=True, exist_ok=True)
    save_file(tensors, DATA / "recipes.safetensors")
    (DATA / "recipes.safetensors").chmod(0o644)
    (DATA / "recipes.json").write_text(json.dumps(description, indent=1) + "\n")
    print((DATA / "recipes.safetensors").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
