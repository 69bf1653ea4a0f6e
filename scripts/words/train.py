"""Train the word network, from where it stopped or from the start.

    python train.py plain --steps 6000             the network
    python train.py hann --steps 1500              its twin with reduced aliasing, from the trained network's weights
    python train.py untrained                      its twin that is not trained

Keeps target/words/<name>/checkpoint.pt (to go on from) and best.pt (the best on the validation voices). Each pass takes
the files of target/words/data that are there by then. The learning rate rises, then falls along a cosine over all
steps; the steps left are those to `--steps`, so a stopped run goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from data import DATA
from model import CochCNN9
from places import CACHE
from torch import Tensor
from torch.nn import functional as F
from vocabulary import CLASSES

BATCH, PEAK_RATE, WEIGHT_DECAY, SMOOTHING = 32, 8e-4, 0.01, 0.1
CHECK_EVERY, SAVE_EVERY = 200, 25


def read(path: Path) -> tuple[Tensor, Tensor]:
    """One file's cochleagrams and classes."""
    with np.load(path) as file:
        return torch.from_numpy(file["x"]), torch.from_numpy(file["y"])


def vary(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Cochleagrams a little earlier or later, louder or softer, with some bands and a moment left out."""
    x = torch.roll(x.float(), int(rng.integers(-12, 13)), 2)
    gain = np.exp(rng.normal(0, 0.5, (len(x), 1, 1)) * 0.3)
    x = x * torch.tensor(gain, dtype=torch.float32)
    for clip in x:
        fill = clip.mean()
        for axis, widest in ((0, 20), (1, 25)):
            width = int(rng.integers(0, widest))
            begin = int(rng.integers(0, clip.shape[axis] - width))
            clip.narrow(axis, begin, width).fill_(fill)
    return x


def batches(pass_number: int, at: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one pass over the data, the first `at` left out; the pass's number is the seed of their order."""
    rng = np.random.default_rng(pass_number)
    files = sorted(p for p in DATA.glob("train-*.npz") if not p.name.endswith(".part.npz"))
    for index in rng.permutation(len(files)):
        x, y = read(files[index])
        order = rng.permutation(len(y))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            at -= 1
            if at < 0:
                chosen = torch.from_numpy(order[begin : begin + BATCH])
                yield vary(x[chosen], rng), y[chosen]


def logits(network: CochCNN9, x: Tensor) -> Tensor:
    """The network's answers, computed in bfloat16, which processors that have it do three times as fast."""
    with torch.autocast("cpu", torch.bfloat16):
        return network(x).float()


@torch.no_grad()
def accuracy(network: CochCNN9, x: Tensor, y: Tensor) -> float:
    """The share of clips whose likeliest class is right."""
    network.eval()
    parts = [logits(network, part.float()).argmax(1) for part in x.split(64)]
    right = int((torch.cat(parts) == y).sum())
    network.train()
    return right / len(y)


def rate(step: int, steps: int, peak: float) -> float:
    """The learning rate of a step: up over the first 5 %, then down to nothing."""
    rise = 0.05 * steps
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def save(path: Path, content: dict[str, object]) -> None:
    """Write so that a stop leaves the old file or the new one."""
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    temporary.replace(path)


def untrained(seed: int) -> None:
    """The layers with the weights they start from; the batch norms know the mean and variance of what reaches them."""
    torch.manual_seed(seed)
    network = CochCNN9(len(CLASSES))
    for norm in (network.batchnorm0, network.batchnorm1, network.batchnorm2):
        norm.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for count, (x, _) in enumerate(batches(0, 0)):
            network(x)
            if count == 31:
                break
    facts = {"seed": seed, "initialisation": "kaiming_uniform_(ReLU), torch.manual_seed; batch norms on 1024 clips"}
    save(CACHE / "untrained" / "best.pt", {"network": network.state_dict(), "facts": facts})


def train(name: str, steps: int, seed: int, peak: float, seconds: float) -> None:
    """Go on to `steps` steps, or until the time is up."""
    torch.manual_seed(seed)
    folder = CACHE / name
    network = CochCNN9(len(CLASSES), reduced_aliasing=name == "hann")
    if name == "hann":
        network.load_state_dict(torch.load(CACHE / "plain" / "best.pt", weights_only=True)["network"])
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    state = {"step": 0, "pass": 0, "at": 0, "best": 0.0, "seconds": 0.0}
    if (folder / "checkpoint.pt").exists():
        checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
        network.load_state_dict(checkpoint["network"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        state = checkpoint["state"]
        print("going on from", json.dumps(state))
    network.train()
    begin = last = time.time()
    running = 0.0
    while state["step"] < steps and time.time() - begin < seconds:
        for x, y in batches(state["pass"], state["at"]):
            for group in optimiser.param_groups:
                group["lr"] = rate(state["step"], steps, peak)
            loss = F.cross_entropy(logits(network, x), y, label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            value = loss.item()
            running += 0.02 * (value - running) if running else value
            state["step"] += 1
            state["at"] += 1
            now = time.time()
            state["seconds"] += now - last
            last = now
            done = state["step"] >= steps or now - begin >= seconds
            if state["step"] % CHECK_EVERY == 0 or state["step"] >= steps:
                held_out = read(DATA / "validation.npz")
                right = accuracy(network, *held_out)
                print(f"step {state['step']} pass {state['pass']} loss {running:.3f} validation {right:.4f} "
                      f"{state['seconds']:.0f} s", flush=True)  # fmt: skip
                if right >= state["best"]:
                    state["best"] = right
                    facts = {
                        "trained": datetime.now(UTC).date().isoformat(),
                        "steps": state["step"],
                        "batch": BATCH,
                        "seed": seed,
                        "validation_accuracy": round(right, 4),
                        "validation_clips": len(held_out[1]),
                    }
                    save(folder / "best.pt", {"network": network.state_dict(), "facts": facts})
            if state["step"] % SAVE_EVERY == 0 or done:
                print(f"step {state['step']} loss {running:.3f}", flush=True)
                save(
                    folder / "checkpoint.pt",
                    {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "state": state},
                )
            if done:
                break
        else:
            state["pass"] += 1
            state["at"] = 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("plain", "hann", "untrained"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    (CACHE / arguments.name).mkdir(parents=True, exist_ok=True)
    if arguments.name == "untrained":
        untrained(arguments.seed)
    else:
        train(arguments.name, arguments.steps, arguments.seed, arguments.rate, arguments.seconds)
