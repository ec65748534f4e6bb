r"""How much reference and how much bias CAN needs, in the model of `benchmarks.papers.simulation`.

For α = 1 and d = 1, the true prior, and the classifiers `calibrated` (σ = 0) and `biased` with
σ = 0.5 and σ = 1: the gain on ambiguous rows against the number of confident rows a class that
the reference has. One iteration needs only the column sums of the reference, so that many rows
cost little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.papers.simulation import (
    PRIORS,
    Outcome,
    class_distribution,
    classify,
    draw,
    mean_interval,
)
from benchmarks.papers.tables import markdown

ROWS_A_CLASS = (2, 5, 20, 100)
BIASES = (0.0, 0.5, 1.0)
REFERENCE_CLASSES = (2, 5, 20, 50)
#: Rows drawn for each row of the reference; a fifth or more is confident.
DRAWN = 7


@dataclass(frozen=True)
class ReferenceCell:
    """Gain on all ambiguous rows, a fraction, with its interval over the repeats."""

    truth: str
    bias: float
    classes: int
    rows_a_class: int
    gain: float
    low: float
    high: float


def study(
    *,
    classes: Sequence[int] = REFERENCE_CLASSES,
    rows_a_class: Sequence[int] = ROWS_A_CLASS,
    repeats: int = 20,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> list[ReferenceCell]:
    """Run the study; repeats >= 2."""
    found: dict[tuple[str, float, int, int], list[float]] = {}
    for n_classes in classes:
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, n_classes, repeat, 1])
            normal = rng.standard_normal(n_classes)
            for truth in PRIORS:
                prior = class_distribution(truth, n_classes)
                n_rows = max(1000, DRAWN * n_classes * max(rows_a_class))
                drawn = draw(prior, n_rows, rng)
                for bias in BIASES:
                    probs = classify(drawn.evidence, prior, bias * normal, 1.0)
                    for wanted in rows_a_class:
                        outcome = Outcome.pick(
                            drawn.labels, probs, probs, n_reference=wanted * n_classes
                        )
                        gains, _ = outcome.gains(prior, 1.0, (1,))
                        key = (truth, bias, n_classes, wanted)
                        found.setdefault(key, []).append(float(gains.mean()))
        say(f"reference, {n_classes} classes")
    return [ReferenceCell(*key, *mean_interval(values)) for key, values in found.items()]


def table(cells: Sequence[ReferenceCell]) -> str:
    """Gains in points: lines are prior, bias and rows a class, columns the classes."""
    classes = list(dict.fromkeys(cell.classes for cell in cells))
    lines: dict[tuple[str, float, int], list[str]] = {}
    for cell in cells:
        key = (cell.truth, cell.bias, cell.rows_a_class)
        text = f"{100 * cell.gain:+.1f} ± {50 * (cell.high - cell.low):.1f}"
        lines.setdefault(key, []).append(text)
    return markdown(
        ["prior", "σ", "confident rows a class", *(f"C = {c}" for c in classes)],
        ([truth, f"{bias:g}", str(rows), *texts] for (truth, bias, rows), texts in lines.items()),
    )
