"""The protocol: every method on repeated target draws of every member, against its own argmax."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gains.methods import METHODS, Draw, Member, predict
from postproc.files import RunDirectory
from postproc.shift_protocol import SHIFTS, draw_target

#: Mean loss of a cell, in points, beyond which it counts as one.
LOSS = -0.2


@dataclass(frozen=True)
class Cell:
    """One method on one member of one task under one shift, mean over the draws.

    Accuracy and gain are fractions; seconds are those of a draw, and of fitting in the first.
    """

    task: str
    model: str
    shift: str
    method: str
    accuracy: float
    gain: float
    standard_error: float
    seconds: float
    first_seconds: float


def members(path: str | Path) -> Iterator[tuple[str, str, Member, Any]]:
    """Task, model, member and test labels of a run directory."""
    run = RunDirectory.open(path)
    fit_labels, labels = run.labels("val"), run.labels("test")
    if fit_labels is None or labels is None:
        raise ValueError(f"{path}: must hold labels.val.npy and labels.test.npy, got no labels")
    for fit, test in zip(run.predictions("val"), run.predictions("test"), strict=True):
        yield Path(path).name, fit.name, Member(fit, fit_labels, test), labels


def measure(
    paths: Sequence[str | Path],
    *,
    n_draws: int = 20,
    rows: int = 2000,
    methods: Sequence[str] | None = None,
    shifts: Sequence[str] = SHIFTS,
    models: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Cell]:
    """Run the protocol.

    Parameters
    ----------
    paths : sequence of path
        Run directories.
    n_draws : int
        Target draws for each member and shift; the number of the draw is its seed.
    rows : int
        Most rows of a draw.
    methods, shifts, models : sequence of str, optional
        Some only; all by default.
    say : callable
        Takes a line for each member that is done.
    """
    names = list(METHODS) if methods is None else list(methods)
    cells = []
    for path in paths:
        for task, model, member, labels in members(path):
            if models is not None and model not in models:
                continue
            begun = time.perf_counter()
            for shift in shifts:
                cells += _cells(task, model, member, labels, shift, n_draws, rows, names)
            say(f"{task}/{model}: {time.perf_counter() - begun:.1f} s")
    return cells


def _cells(
    task: str,
    model: str,
    member: Member,
    labels: Any,
    shift: str,
    n_draws: int,
    rows: int,
    names: Sequence[str],
) -> Iterator[Cell]:
    n_classes = member.test.n_classes
    draws = [
        Draw(numbers, labels[numbers])
        for numbers in (draw_target(labels, shift, rows, d, n_classes) for d in range(n_draws))
    ]
    before = member.test.scores.argmax(axis=1)
    base = np.array([(before[draw.rows] == draw.labels).mean() for draw in draws])
    for name in names:
        right, seconds = [], []
        for draw in draws:
            begun = time.perf_counter()
            right.append((predict(name, member, draw) == draw.labels).mean())
            seconds.append(time.perf_counter() - begun)
        gains = np.array(right) - base
        error = gains.std(ddof=1) / np.sqrt(n_draws) if n_draws > 1 else 0.0
        yield Cell(
            task,
            model,
            shift,
            name,
            accuracy=float(np.mean(right)),
            gain=float(gains.mean()),
            standard_error=float(error),
            seconds=float(np.median(seconds)),
            first_seconds=seconds[0],
        )


def table(cells: Sequence[Cell]) -> str:
    """Mean points of every method under every shift, its worst cell and its losing cells."""
    shifts = list(dict.fromkeys(cell.shift for cell in cells))
    heading = ["method", *shifts, "worst cell", f"cells < {LOSS}"]
    lines = ["| " + " | ".join(heading) + " |", "| " + " | ".join("---" for _ in heading) + " |"]
    bases = [np.mean([c.accuracy - c.gain for c in cells if c.shift == shift]) for shift in shifts]
    lines.append("| base, % | " + " | ".join(f"{100 * base:.2f}" for base in bases) + " | | |")
    for name in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in cells if cell.method == name]
        means = [np.mean([100 * c.gain for c in own if c.shift == shift]) for shift in shifts]
        worst = min(own, key=lambda cell: cell.gain)
        where = f"{100 * worst.gain:+.2f} ({worst.task}, {worst.model}, {worst.shift})"
        losing = sum(100 * cell.gain < LOSS for cell in own)
        row = [name, *(f"{mean:+.2f}" for mean in means), where, str(losing)]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def by_task(cells: Sequence[Cell], method: str) -> str:
    """Mean points of one method for each task."""
    shifts = list(dict.fromkeys(cell.shift for cell in cells))
    lines = ["| " + " | ".join([f"{method}, by task", *shifts]) + " |"]
    lines.append("| " + " | ".join("---" for _ in range(len(shifts) + 1)) + " |")
    for task in dict.fromkeys(cell.task for cell in cells):
        means = [
            np.mean(
                [
                    100 * c.gain
                    for c in cells
                    if (c.task, c.method, c.shift) == (task, method, shift)
                ]
            )
            for shift in shifts
        ]
        lines.append("| " + " | ".join([task, *(f"{mean:+.2f}" for mean in means)]) + " |")
    return "\n".join(lines)


def to_json(cells: Sequence[Cell]) -> dict[str, Any]:
    """All cells in plain numbers."""
    return {"results": [asdict(cell) for cell in cells]}
