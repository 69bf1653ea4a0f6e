"""Compares the peak memory of gradient evaluations through VGG-19 with PyTorch's, as a Markdown table.

    cargo bench --bench gradient --no-run
    python scripts/compare_memory.py [--steps 1000]

Each runs in its own process. The peak is VmHWM in /proc/PID/status and includes weights and libraries; the growth is
that of VmRSS from the 20th step to the last. Needs Linux, torch and torchvision.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from compare_torch import ROOT, bench_binary

NETWORK, STAGE = "vgg19", "conv5_4"
# The variant that is fastest in compare_torch.py.
PYTORCH = """
import sys, torch, torchvision
torch.set_num_threads(int(sys.argv[1]))
net = torchvision.models.vgg19(weights=None).features[:36].eval().to(memory_format=torch.channels_last)
for parameter in net.parameters():
    parameter.requires_grad_(False)
x = torch.rand(1, 3, 224, 224).to(memory_format=torch.channels_last).requires_grad_(True)
with torch.no_grad():
    target = net(torch.rand(1, 3, 224, 224))
scale = torch.linalg.norm(target)
for line in sys.stdin:
    (torch.linalg.norm(net(x) - target) / scale).backward()
    x.grad = None
    print("done", flush=True)
"""


def memory(pid: int, field: str) -> float:
    """Reads a field of /proc/PID/status in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(command: list[str | Path], request: str, steps: int, threads: int) -> tuple[float, float]:
    """Returns the peak memory and the growth in MB over `steps` evaluations by a process that reads requests."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        command, env=environment, text=True, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    early = 0.0
    for step in range(steps):
        process.stdin.write(request + "\n")
        process.stdin.flush()
        if not process.stdout.readline():
            sys.exit(f"error: {command[0]} ended early")
        if step == 19:
            early = memory(process.pid, "VmRSS")
    peak, growth = memory(process.pid, "VmHWM"), memory(process.pid, "VmRSS") - early
    process.stdin.close()
    process.wait()
    return peak, growth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="number of evaluations, at least 20")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    steps = max(arguments.steps, 20)
    ours = measure([bench_binary(), "--serve"], f"{NETWORK} {STAGE} 1", steps, arguments.threads)
    theirs = measure([sys.executable, "-c", PYTORCH, str(arguments.threads)], "", steps, arguments.threads)
    print(f"| VGG-19 {STAGE}, {steps} steps | peak MB | growth MB |\n| --- | --- | --- |")
    print(f"| metamers | {ours[0]:.0f} | {ours[1]:+.1f} |")
    print(f"| PyTorch, channels last | {theirs[0]:.0f} | {theirs[1]:+.1f} |")
    print(f"\nratio of peaks: {ours[0] / theirs[0]:.2f}")


if __name__ == "__main__":
    main()
