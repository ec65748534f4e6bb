"""Abstention with one start of tests and with several: `python -m benchmarks.decisions.starts`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from postproc.decisions.abstention import STARTS, fewest_rows, largest_coverage
from postproc.reports.tables import Table, named
from postproc.reports.text import to_markdown

Floats = NDArray[np.float64]
Curve = Callable[[Floats, float], Floats]

CONFIDENCE = 0.95
BOUNDS = (0.02, 0.05, 0.1, 0.2)
ROWS = (100, 300, 1000, 3000, 10_000)

#: Error of the rows at a share of all, the most confident first, in units of the bound r.
CURVES: dict[str, Curve] = {
    "rises, 0 to 3 r": lambda q, r: 3 * r * q,
    "rises late, 8 r q²": lambda q, r: 8 * r * q**2,
    "0.6 r everywhere": lambda q, r: np.full_like(q, 0.6 * r),
    "0.85 r everywhere": lambda q, r: np.full_like(q, 0.85 * r),
    "0.77 r, then 2.5 r from 70 % on": lambda q, r: np.where(q < 0.7, 0.77 * r, 2.5 * r),
    "3 r in the first 3 %, then rises": lambda q, r: np.where(q < 0.03, 3 * r, r * (0.2 + 1.2 * q)),
    "0.4 r, but 2.2 r from 20 to 35 %": lambda q, r: np.where(
        abs(q - 0.275) < 0.075, 2.2 * r, 0.4 * r
    ),
    "just above r, then 3 r": lambda q, r: np.where(q < 0.6, 1.001 * r, 3 * r),
    "1.3 r everywhere": lambda q, r: np.full_like(q, 1.3 * r),
}

#: Shares of all rows, at which the error of all rows above is computed.
GRID = (np.arange(20_000) + 0.5) / 20_000


def measure(
    curve: Curve, bound: float, n_rows: int, starts: tuple[float, ...], draws: int
) -> Floats:
    """Share of rows decided, and of draws in which the bound is broken or nothing decided."""
    rng = np.random.default_rng(0)
    risk = np.cumsum(curve(GRID, bound).clip(0, 1)) / np.arange(1, len(GRID) + 1)
    found = []
    for _ in range(draws):
        place = rng.random(n_rows)
        wrong = rng.random(n_rows) < curve(place, bound).clip(0, 1)
        threshold = largest_coverage(1 - place, wrong, bound, CONFIDENCE, starts).threshold
        share = min(1.0, max(0.0, 1 - threshold))
        error = np.interp(share, GRID, risk) if share else 0.0
        found.append((share, error > bound * (1 + 1e-9), share == 0))
    return np.mean(found, axis=0)


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    draws = parser.parse_args().draws
    ways = {"one start": (1.0,), "several": STARTS}
    cells = {
        (name, n, way): np.array(
            [
                measure(curve, bound, n, starts, draws)
                for bound in BOUNDS
                if fewest_rows(0, bound, CONFIDENCE) <= n
            ]
        )
        for name, curve in CURVES.items()
        for n in ROWS
        for way, starts in ways.items()
    }
    rows = []
    for name in CURVES:
        row = [name]
        for n in ROWS:
            shares = (100 * cells[name, n, way][:, 0].mean() for way in ways)
            row.append(" → ".join(f"{share:.1f}" for share in shares))
        worst = (100 * max(cells[name, n, way][:, 1].max() for n in ROWS) for way in ways)
        rows.append((*row, " → ".join(f"{share:.1f}" for share in worst)))
    columns = ("error of rows", *(f"{n:,} rows, %" for n in ROWS), "broken at worst, %")
    print(
        to_markdown([Table("Rows decided", columns, tuple(tuple(map(named, row)) for row in rows))])
    )


if __name__ == "__main__":
    main()
