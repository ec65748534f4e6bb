"""ECE of calibrated models by chance: `python -m benchmarks.intervals.calibration_error`.

Confidences are drawn from a Beta distribution, and each row is right with just that probability.
"""

from __future__ import annotations

import argparse

import numpy as np

from postproc.evaluation.reliability import reliability_bins
from postproc.reports.tables import Table, named
from postproc.reports.text import to_markdown

ROWS = (100, 300, 440, 1000, 3000, 10_000)
ACCURACIES = (0.5, 0.7, 0.9, 0.97)

#: How narrow the confidences are: the sum of the parameters of the Beta distribution.
CONCENTRATION = 5.0


def measure(n_rows: int, accuracy: float, draws: int) -> str:
    """Mean and 95th percentile of the calibration error, in per cent."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        p = rng.beta(CONCENTRATION * accuracy, CONCENTRATION * (1 - accuracy), n_rows)
        found.append(100 * reliability_bins(p, rng.random(n_rows) < p).ece)
    return f"{np.mean(found):.1f} / {np.quantile(found, 0.95):.1f}"


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    rows = tuple(
        tuple(named(cell) for cell in (f"{n:,}", *(measure(n, a, draws) for a in ACCURACIES)))
        for n in ROWS
    )
    columns = ("rows", *(f"accuracy {accuracy:.0%}" for accuracy in ACCURACIES))
    print(to_markdown([Table("ECE of calibrated models, mean / 95th percentile", columns, rows)]))


if __name__ == "__main__":
    main()
