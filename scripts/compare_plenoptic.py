"""Compares the time to a well-matched metamer with plenoptic's and the authors' recipe in PyTorch, as a Markdown table.

    cargo build --release --example seconds_to_match
    python scripts/compare_plenoptic.py [--photos 10] [--seeds 3] [--seconds 60] [STAGE ...] [--of PROGRAM ...]

All make metamers of EfficientNet-Lite0 from noise, of the same pictures, with as many threads. PyTorch runs eagerly,
with channels last, or both with batch normalization folded: the fastest at each stage. plenoptic has Adam with AMSGrad
at two learning rates, 0.01 and 0.03, divided by two after each third of its time; the better one counts for each
picture and ratio. The authors' recipe of 2023 halves its steps every 3,000.

The signal-to-noise ratio is that of the clamped picture, 20 log10(norm2(A) / norm2(A - A')) of the activations. For
PyTorch it is read every 20 iterations, which is not timed (of plenoptic, one forward pass in 20 iterations is). Each
run is a row of target/seconds_to_match.csv; a row that is there is not computed again, so that a comparison of hours
can be stopped and go on (delete the file after a change of a program). The table has all rows of that file with as
many threads and seconds: in a cell the median over pictures and seeds, with the range and the number of runs; a run
that did not reach the ratio counts as infinitely long. `--photos 0` prints the table alone.
Needs torch, torchvision, plenoptic, safetensors and pillow.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plenoptic as po
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from compare_torch import variants

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "target" / "release" / "examples" / "seconds_to_match"
ASSETS = Path(os.environ.get("METAMERS_ASSETS", ROOT / "assets"))
STAGES = ["block2", "block5", "block10", "features", "avgpool", "logits"]
RATIOS = [15.0, 20.0]
RATES = [0.01, 0.03]
ITERATIONS = 20
# Steps of a block of the authors' recipe; the length of a step halves after each.
BLOCK = 3000
# The programs, and what is timed of each.
COLUMNS = {"ours": ["15 dB", "20 dB", "settled"], "plenoptic": ["15 dB", "20 dB"], "authors": ["15 dB", "20 dB"]}
RESULTS = ROOT / "target" / "seconds_to_match.csv"

Times = list[float]
# Stage, photo, seed, program, threads and the most seconds.
Key = tuple[str, str, int, str, int, float]


class Stage(nn.Module):
    """EfficientNet-Lite0 up to a stage; nothing after it is computed."""

    def __init__(self, weights: dict[str, Tensor], stage: str) -> None:
        super().__init__()
        from efficientnet_lite0 import Lite0

        self.net, self.stage, self.straight_through = Lite0(), stage, False
        found = self.net.load_state_dict(weights, strict=False)
        if found.unexpected_keys or any(not key.endswith("num_batches_tracked") for key in found.missing_keys):
            sys.exit(f"error: the weights do not fit: {found}")

    def forward(self, x: Tensor) -> Tensor:
        """Returns the activations; with `straight_through`, their gradient passes the stage's own ReLU."""
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
            return z + (y - z).detach() if self.straight_through else y
        y = y.mean((2, 3))
        return y if self.stage == "avgpool" else net._fc(y)


def fastest(weights: dict[str, Tensor], stage: str, picture: Tensor) -> tuple[Stage, torch.memory_format]:
    """Returns the variant of the network with the shortest gradient evaluation."""
    nets = variants(lambda: Stage(weights, stage))
    times: dict[str, float] = {}
    for name, (net, layout) in nets.items():
        x = picture.clone(memory_format=layout).requires_grad_(True)
        measured = []
        for _ in range(6):
            begun = time.perf_counter()
            torch.autograd.grad(torch.linalg.norm(net(x)), x)
            measured.append(time.perf_counter() - begun)
        times[name] = statistics.median(measured)
    return nets[min(times, key=times.__getitem__)]


def snr_db(net: Stage, target: Tensor, picture: Tensor) -> float:
    with torch.no_grad():
        error = target - net(picture.clamp(0, 1))
    return float(20 * torch.log10(torch.linalg.norm(target) / torch.linalg.norm(error)))


def first_times(runs: Iterator[tuple[float, float]]) -> Times:
    """Returns the seconds to each ratio, from pairs of seconds and ratio; infinite if it was not reached."""
    found = [math.inf] * len(RATIOS)
    for seconds, snr in runs:
        found = [min(t, seconds) if snr >= ratio else t for t, ratio in zip(found, RATIOS, strict=True)]
        if found[-1] < math.inf:
            break
    return found


def plenoptic(net: Stage, picture: Tensor, start: Tensor, rate: float, limit: float) -> Iterator[tuple[float, float]]:
    with torch.no_grad():
        target = net(picture)
    begun = time.perf_counter()
    met = po.Metamer(picture, net)
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
        yield seconds, snr_db(net, target, met.metamer.detach())


def authors(net: Stage, picture: Tensor, limit: float) -> Iterator[tuple[float, float]]:
    """Normalized gradient steps, clamped, on the norm of the difference relative to that of the target."""
    with torch.no_grad():
        target = net(picture)
    x = (0.5 + 0.05 * torch.randn_like(picture)).clamp(0, 1).requires_grad_(True)
    norm, seconds, steps = torch.linalg.norm(target), 0.0, 0
    net.straight_through = True
    while seconds < limit:
        begun = time.perf_counter()
        length = 0.5 ** (steps // BLOCK)
        for _ in range(ITERATIONS):
            (gradient,) = torch.autograd.grad(torch.linalg.norm(net(x) - target) / norm, x)
            with torch.no_grad():
                x -= length * gradient / torch.linalg.norm(gradient)
                x.clamp_(0, 1)
        steps += ITERATIONS
        seconds += time.perf_counter() - begun
        yield seconds, snr_db(net, target, x.detach())


def read_results() -> dict[Key, Times]:
    """Returns the times of the runs that were computed before."""
    if not RESULTS.exists():
        return {}
    found: dict[Key, Times] = {}
    with RESULTS.open(newline="") as file:
        for stage, photo, seed, program, threads, limit, *times in csv.reader(file):
            found[stage, photo, int(seed), program, int(threads), float(limit)] = [float(t) for t in times]
    return found


def keep(results: dict[Key, Times], key: Key, times: Times) -> None:
    """Adds the times of a run to the results, here and in the file."""
    results[key] = times
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", newline="") as file:
        csv.writer(file).writerow([*key, *times])
    print(*key, *times, file=sys.stderr, flush=True)


def cell(times: Times, limit: float) -> str:
    if not times:
        return ""
    reached = sorted(t for t in times if t < math.inf)
    median = statistics.median(times)
    text = f"{median:.1f}" if median < math.inf else f"not in {limit:.0f}"
    if len(reached) == len(times) > 1:
        return text + f" ({reached[0]:.1f} to {reached[-1]:.1f}; {len(times)})"
    return text + f" ({len(reached)} of {len(times)})" if len(times) > 1 else text


def print_table(results: dict[Key, Times], threads: int, limit: float) -> None:
    headings = [f"{program}: {column}" for program, columns in COLUMNS.items() for column in columns]
    print(f"| stage | {' | '.join(headings)} |\n| --- |{' --- |' * len(headings)}")
    for stage in STAGES:
        of_stage = {key: times for key, times in results.items() if key[0] == stage and key[4:] == (threads, limit)}
        cells = []
        for program, columns in COLUMNS.items():
            runs = [times for key, times in of_stage.items() if key[3] == program]
            cells += [cell([times[i] for times in runs], limit) for i in range(len(columns))]
        if of_stage:
            print(f"| {stage} | {' | '.join(cells)} |")


def ask(ours: subprocess.Popen[str], request: str) -> list[str]:
    ours.stdin.write(f"{request}\n")
    ours.stdin.flush()
    answer = ours.stdout.readline().split()
    if not answer:
        sys.exit(f"error: {PROGRAM.name} has no answer to: {request}")
    return answer


def picture_of(ours: subprocess.Popen[str], photo: Path) -> Tensor:
    """The picture as our network sees it, `[1, 3, 224, 224]` in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        ask(ours, f"prepare {photo} {file}")
        values = np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}; by default all")
    parser.add_argument("--photos", type=int, default=10, help="every eleventh of those that ship")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="the most of a run")
    parser.add_argument("--of", nargs="+", choices=list(COLUMNS), default=list(COLUMNS), metavar="PROGRAM")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"unknown stages: {', '.join(unknown)}; they are {', '.join(STAGES)}")
    torch.set_num_threads(arguments.threads)
    environment = os.environ | {"RAYON_NUM_THREADS": str(arguments.threads)}
    ours = subprocess.Popen(
        [PROGRAM], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    weights = load_file(ASSETS / "networks" / "efficientnet_lite0.safetensors")
    photos = sorted((ASSETS / "photos").glob("*.jpg"))[::11][: arguments.photos]
    threads, limit, results = arguments.threads, arguments.seconds, read_results()
    nets: dict[str, tuple[Stage, torch.memory_format]] = {}
    # A comparison that is stopped has all stages of the first pictures.
    for seed, photo in ((seed, photo) for seed in range(arguments.seeds) for photo in photos):
        for stage in arguments.stages or STAGES:
            keys = {program: (stage, photo.stem, seed, program, threads, limit) for program in arguments.of}
            missing = {program: key for program, key in keys.items() if key not in results}
            if "ours" in missing:
                answer = [float(word) for word in ask(ours, f"{stage} {photo} {seed} nearest {limit}")]
                keep(results, keys["ours"], [seconds if seconds >= 0 else math.inf for seconds in answer[:3]])
            if not missing.keys() - {"ours"}:
                continue
            picture = picture_of(ours, photo)
            if stage not in nets:
                nets[stage] = fastest(weights, stage, picture)
            net, layout = nets[stage]
            picture = picture.to(memory_format=layout)
            if "plenoptic" in missing:
                torch.manual_seed(seed)
                start = torch.rand_like(picture)
                rates = [first_times(plenoptic(net, picture, start, rate, limit)) for rate in RATES]
                keep(results, keys["plenoptic"], [min(times) for times in zip(*rates, strict=True)])
            if "authors" in missing:
                torch.manual_seed(seed)
                keep(results, keys["authors"], first_times(authors(net, picture, limit)))
                net.straight_through = False
    print_table(results, threads, limit)
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
