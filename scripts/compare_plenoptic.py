"""Compares the time to a well-matched metamer with plenoptic's and the authors' recipe in PyTorch, as a Markdown table.

    cargo build --release --example seconds_to_match
    python scripts/compare_plenoptic.py [--photos 2] [--seeds 1] [--seconds 60] [STAGE ...]

All make metamers of EfficientNet-Lite0 from noise, on the same photos, with as many threads. plenoptic has Adam with
AMSGrad at two learning rates, 0.01 and 0.03, divided by two after each third of its time; the better one counts for
each photo and ratio. The authors' recipe of 2023 is that of its first block of 3,000 steps. The signal-to-noise ratio
is that of the clamped picture, 20 log10(norm2(A) / norm2(A - A')) of the activations, read every 10 iterations; the
reading is not timed. Medians over photos and seeds, with the range; "-" where no run reached the ratio. Needs torch,
plenoptic, safetensors and pillow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import plenoptic as po
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "reference"))
PROGRAM = ROOT / "target" / "release" / "examples" / "seconds_to_match"
ASSETS = Path(os.environ.get("METAMERS_ASSETS", ROOT / "assets"))
STAGES = ["block2", "block5", "block10", "features", "avgpool", "logits"]
RATIOS = [15.0, 20.0]
RATES = [0.01, 0.03]
ITERATIONS = 10
# Of the authors' recipe: the length of the first step, relative to the pixels' range.
ETA = 1.0

# Seconds to each ratio; `None` if it was not reached.
Times = list[float | None]


class Stage(nn.Module):
    """EfficientNet-Lite0 up to a stage; nothing after it is computed."""

    def __init__(self, weights: dict[str, Tensor], stage: str) -> None:
        super().__init__()
        from efficientnet_lite0 import Lite0

        self.net, self.stage = Lite0(), stage
        self.net.load_state_dict(weights, strict=False)
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: Tensor, straight_through: bool = False) -> Tensor:
        """Returns activations, whose gradient passes the last ReLU if `straight_through`, as in the authors' code."""
        net = self.net
        y = nn.functional.relu6(net._bn0(net._conv_stem((255 * x - 127) / 128)))
        last = int(self.stage[5:]) + 1 if self.stage.startswith("block") else len(net._blocks)
        for block in net._blocks[:last]:
            y = block(y)
        if self.stage.startswith("block"):
            return y
        z = net._bn1(net._conv_head(y))
        y = nn.functional.relu6(z)
        if self.stage == "features":
            return z + (y - z).detach() if straight_through else y
        y = y.mean((2, 3))
        return y if self.stage == "avgpool" else net._fc(y)


def snr_db(model: Stage, target: Tensor, picture: Tensor) -> float:
    with torch.no_grad():
        error = target - model(picture.clamp(0, 1))
    return float(20 * torch.log10(torch.linalg.norm(target) / torch.linalg.norm(error)))


def first_times(runs: Iterator[tuple[float, float]]) -> Times:
    """Takes pairs of seconds and ratio; stops when the last ratio is reached."""
    found: Times = [None] * len(RATIOS)
    for seconds, ratio in runs:
        found = [seconds if t is None and ratio >= r else t for t, r in zip(found, RATIOS, strict=True)]
        if found[-1] is not None:
            break
    return found


def plenoptic(model: Stage, photo: Tensor, start: Tensor, rate: float, limit: float) -> Iterator[tuple[float, float]]:
    with torch.no_grad():
        target = model(photo)
    begun = time.perf_counter()
    met = po.Metamer(photo, model)
    met.setup(start.clone(), optimizer=torch.optim.Adam, optimizer_kwargs={"lr": rate, "amsgrad": True})
    seconds = time.perf_counter() - begun
    halved = 0
    while seconds < limit:
        begun = time.perf_counter()
        met.synthesize(max_iter=ITERATIONS, stop_criterion=0)
        seconds += time.perf_counter() - begun
        if int(3 * seconds / limit) > halved:
            halved += 1
            for group in met.optimizer.param_groups:
                group["lr"] /= 2
        yield seconds, snr_db(model, target, met.metamer.detach())


def authors(model: Stage, photo: Tensor, start: Tensor, limit: float) -> Iterator[tuple[float, float]]:
    """Normalized gradient steps, clamped, on the norm of the difference relative to that of the target."""
    with torch.no_grad():
        target = model(photo)
    x = (0.5 + 0.05 * torch.randn_like(start)).clamp(0, 1).requires_grad_(True)
    norm, seconds = torch.linalg.norm(target), 0.0
    while seconds < limit:
        begun = time.perf_counter()
        for _ in range(ITERATIONS):
            (gradient,) = torch.autograd.grad(torch.linalg.norm(model(x, straight_through=True) - target) / norm, x)
            with torch.no_grad():
                x -= ETA * gradient / torch.linalg.norm(gradient)
                x.clamp_(0, 1)
        seconds += time.perf_counter() - begun
        yield seconds, snr_db(model, target, x.detach())


def best(times: list[Times]) -> Times:
    """The smallest time to each ratio."""
    return [min((t for t in column if t is not None), default=None) for column in zip(*times, strict=True)]


def cell(times: list[float | None]) -> str:
    found = sorted(t for t in times if t is not None)
    if not found:
        return f"- (0 of {len(times)})"
    text = f"{statistics.median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})"
    return text if len(found) == len(times) else f"{text}, {len(found)} of {len(times)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", default=STAGES)
    parser.add_argument("--photos", type=int, default=2, help="every eleventh of those that ship")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="the most of a run")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    environment = os.environ | {"RAYON_NUM_THREADS": str(arguments.threads)}
    ours = subprocess.Popen(
        [PROGRAM], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    weights = load_file(ASSETS / "networks" / "efficientnet_lite0.safetensors")
    photos = sorted((ASSETS / "photos").glob("*.jpg"))[::11][: arguments.photos]
    headings = ["ours: 15 dB", "20 dB", "settled", "plenoptic: 15 dB", "20 dB", "authors' recipe: 15 dB", "20 dB"]
    print(f"| stage | {' | '.join(headings)} |\n| --- |{' --- |' * len(headings)}")
    for stage in arguments.stages:
        model = Stage(weights, stage)
        columns: list[list[float | None]] = [[] for _ in headings]
        for path in photos:
            picture = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
            pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).float() / 255
            photo = pixels.view(224, 224, 3).permute(2, 0, 1)[None].contiguous()
            for seed in range(arguments.seeds):
                torch.manual_seed(seed)
                start = torch.rand_like(photo)
                ours.stdin.write(f"{stage} photos/{path.name} {seed} nearest {arguments.seconds}\n")
                ours.stdin.flush()
                answer = [float(word) for word in ours.stdout.readline().split()]
                row: Times = [seconds if seconds >= 0 else None for seconds in answer[:3]]
                limit = arguments.seconds
                row += best([first_times(plenoptic(model, photo, start, rate, limit)) for rate in RATES])
                row += first_times(authors(model, photo, start, limit))
                for column, seconds in zip(columns, row, strict=True):
                    column.append(seconds)
        print(f"| {stage} | {' | '.join(map(cell, columns))} |", flush=True)
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
