"""Absolute times on a CUDA device: python -m benchmarks.speed.cuda [--quick].

For each size the seconds, the arithmetic rate with its share of a plain product in the same
precision on the same device, and the rate at which bytes cross from host memory with its share of
a plain copy from pinned memory. Without a device it says so and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.speed.can import data
from postproc.can.reference import Reference
from postproc.scores.arrays import as_numpy

if TYPE_CHECKING:
    import torch

HEADING = "| what | seconds | rate | share of the device |\n|---|---|---|---|\n"


def timed(function: Callable[[], object], rounds: int = 3) -> float:
    """Least seconds of some calls, each waited for."""
    import torch

    function()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def product_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large product, without TF32."""
    import torch

    size = 8192
    a, b = (torch.rand(size, size, dtype=dtype, device="cuda") for _ in range(2))
    return 2.0 * size**3 / timed(lambda: a @ b)


def copy_rate(n_bytes: int) -> float:
    """Bytes a second from pinned host memory to the device."""
    import torch

    host = torch.empty(n_bytes, dtype=torch.uint8).pin_memory()
    there = torch.empty(n_bytes, dtype=torch.uint8, device="cuda")
    return n_bytes / timed(lambda: there.copy_(host, non_blocking=True))


def can_line(n: int, k: int, n_classes: int, iterations: int) -> str:
    """CAN with everything on the device."""
    import torch

    rows, reference, prior = (
        torch.from_numpy(np.asarray(array)).cuda() for array in data(n, k, n_classes, "float32")
    )
    model = Reference.build(
        reference,
        prior.double(),
        alpha=1.0,
        iterations=iterations,
        smoothing=0.0,
        weights=None,
        dtype=torch.float32,
    )
    took = timed(lambda: model.adjust(rows))
    rate = 4.0 * (iterations - 1) * n * n_classes * k / took
    share = rate / product_rate(torch.float32)
    what = f"CAN, reference {n} x {n_classes}, {k} rows, d = {iterations}, float32"
    return f"| {what} | {took:.3g} | {rate / 1e12:.3g} TFLOP/s | {share:.0%} of a product |"


def stream_line(n_rows: int, n_classes: int) -> str:
    """CAN at d = 1 on rows in host memory: blocks go to the device and come back."""
    import torch

    from postproc.can.model import CANModel
    from postproc.can.options import CANOptions
    from postproc.jobs.cuda import DeviceEngine, to_device

    rng = np.random.default_rng(0)
    one = rng.random((min(n_rows, 100_000), n_classes), dtype=np.float32) ** 8
    one /= one.sum(axis=1, keepdims=True)
    out = np.empty_like(one)
    start = torch.from_numpy(one).cuda()
    model = CANModel.fit([start], np.full(n_classes, 1.0 / n_classes), CANOptions())
    step = 10_000
    n_blocks = -(-n_rows // step)

    def adjust(rows: slice) -> None:
        """Adjust rows that are read from, and written to, the same memory again and again."""
        here = slice(rows.start % len(one), (rows.stop - 1) % len(one) + 1)
        out[here] = as_numpy(model.adjust(to_device(one[here], "cuda"))[0])

    cuts = [slice(step * block, step * (block + 1)) for block in range(n_blocks)]
    took = timed(lambda: list(DeviceEngine("cuda").run(adjust, cuts)), rounds=1)
    moved = 2.0 * n_blocks * step * n_classes * one.itemsize
    share = moved / took / copy_rate(one.nbytes)
    what = f"CAN from host memory and back, {n_blocks * step} x {n_classes}, d = 1, float32"
    return f"| {what} | {took:.3g} | {moved / took / 1e9:.3g} GB/s | {share:.0%} of a copy |"


def main() -> None:
    """Print the table."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    quick = parser.parse_args().quick
    if not torch.cuda.is_available():
        print("no CUDA device was found", file=sys.stderr)
        raise SystemExit(1)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, no TF32\n\n{HEADING}", end=""
    )
    shrink = 10 if quick else 1
    print(can_line(1000, 1000, 150, 5), flush=True)
    print(can_line(5000 // shrink, 10_000 // shrink, 1000, 5), flush=True)
    print(can_line(200_000 // shrink, 10_000 // shrink, 1000, 3), flush=True)
    print(stream_line(10_000_000 // (100 * shrink if quick else 1), 1000), flush=True)


if __name__ == "__main__":
    main()
