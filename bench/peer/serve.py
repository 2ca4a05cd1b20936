"""PyTorch's side of `cargo xtask bench --peer`.

Speaks lines of JSON: the work on stdin first, then {"runs": 3} is answered by {"wall": .., "cpu": .., "memory": ..}:
the seconds of those runs, and the most bytes taken so far beyond what the process held before the row was set up.
The rows and their shapes are those of xtask/src/bench/rows.rs.
"""

import json
import os
import sys
import time

import torch

import diffae
import expansion
import inception
import inversion
import operators
import perceptual
import stylegan2
import vision

PREPARE = {
    "conv": operators.conv,
    "matmul": operators.matmul,
    "attention": operators.attention,
    "stylegan2": stylegan2.prepare,
    "clip": vision.prepare,
    "lpips": perceptual.prepare,
    "inception": inception.prepare,
    "unet": diffae.unet,
    "sampling": diffae.sampling,
    "diffae_expansion": diffae.expansion,
    "projector": inversion.projector,
    "tuning": inversion.tuning,
    "encoder": inversion.encoder,
    "expansion": expansion.prepare,
}


def memory(key):
    """A line of the process's status in bytes; None where the system has no such file."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def main():
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    work = json.loads(sys.stdin.readline())
    before = memory("VmRSS:")
    run = PREPARE[work.pop("kind")](**work)
    for line in sys.stdin:
        runs = json.loads(line)["runs"]
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(runs):
            run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        most = memory("VmHWM:")
        taken = None if most is None or before is None else max(most - before, 0)
        print(json.dumps({"wall": wall, "cpu": cpu, "memory": taken}), flush=True)


if __name__ == "__main__":
    main()
