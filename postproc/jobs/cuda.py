"""Blocks on a CUDA device: copies from pinned memory overlap with work on other blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.jobs.engine import LocalEngine
from postproc.scores.arrays import Array
from postproc.scores.checks import fail
from postproc.scores.sources import Derived, signature_of

T = TypeVar("T")

#: Blocks in flight: one is copied to the device, one is computed, one is copied back.
BLOCKS_AT_A_TIME = 3


def check_device(device: str, *, fast: bool = False) -> None:
    """Check that a device exists; `fast` allows TF32 in products of float32 matrices."""
    if not device.startswith("cuda"):
        return
    import torch

    if not torch.cuda.is_available():
        fail("device", "available", device, "no CUDA device was found; use cpu")
    torch.backends.cuda.matmul.allow_tf32 = fast


def to_device(array: NDArray[Any], device: str) -> Array:
    """The array itself for "cpu", else a tensor on the device, copied from pinned memory."""
    if device == "cpu":
        return array
    import torch

    tensor = torch.from_numpy(array)
    if device.startswith("cuda"):  # copies are asynchronous only from pinned memory
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@dataclass(frozen=True)
class OnDevice(Derived):
    """Rows of a source or array that are moved to a device when they are read."""

    where: str

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop."""
        return np.asarray(self.source[rows])

    def __getitem__(self, index: Any) -> Array:
        """Read rows and move them to the device."""
        return to_device(np.ascontiguousarray(super().__getitem__(index)), self.where)

    def signature(self) -> dict[str, Any]:
        """That of the source."""
        return signature_of(self.source)


class DeviceEngine(LocalEngine):
    """Computes blocks in threads with one CUDA stream each, so that copies overlap with work."""

    def __init__(self, device: str) -> None:
        super().__init__(BLOCKS_AT_A_TIME)
        self.device = device
        self._own = threading.local()

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) in order; a bounded number of blocks is in flight."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()  # another stream has put the part's arrays there
        yield from super().run(part, cuts)

    def _compute(self, part: Callable[[slice], T], rows: slice) -> T:
        if not self.device.startswith("cuda"):
            return part(rows)
        import torch

        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(self._own.stream):
            result = part(rows)
            self._own.stream.synchronize()
        return result
