"""Coverage of 95 % intervals of every metric and of paired gains: `python -m benchmarks.intervals`.

Rows are drawn anew in every repeat from a population whose metrics are known from very many rows;
the table shows how often the interval of the drawn rows holds them. Two models with shared noise
judge unequal classes; in groups, five rows share a part of their scores and of their classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from postproc.evaluation.paired import compare, wilson_interval
from postproc.evaluation.registry import METRICS, Metric, cost_metric, find_metric
from postproc.scores.threads import available_cores

PRIORS = {
    "4 classes": (0.4, 0.3, 0.2, 0.1),
    "4 classes, one of them rare": (0.5, 0.3, 0.15, 0.05),
    "2 classes": (0.8, 0.2),
}
GROUP = 5
SIZES = (300, 3000)


class Drawn(NamedTuple):
    """Labels (n,), probabilities (n, C) of two models, and groups (n,)."""

    labels: NDArray[np.int64]
    base: NDArray[np.float64]
    new: NDArray[np.float64]
    groups: NDArray[np.int64] | None


def draw(rng: np.random.Generator, n: int, prior: Sequence[float], *, grouped: bool) -> Drawn:
    """Rows of a population with these class frequencies (C,)."""
    n_classes = len(prior)
    groups = np.arange(n) // GROUP if grouped else None
    noise = rng.normal(size=(n, n_classes))
    if groups is None:
        y = rng.choice(n_classes, n, p=prior)
    else:
        own = rng.dirichlet(4 * np.asarray(prior), n // GROUP)[groups]
        y = (own.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
        noise = 0.7 * noise + 0.7 * rng.normal(size=(n // GROUP, n_classes))[groups]
    signal = np.eye(n_classes)[y]
    base, new = (
        softmax(strength * signal + noise + 0.5 * rng.normal(size=(n, n_classes)), axis=1)
        for strength in (1.6, 1.9)
    )
    return Drawn(y, base, new, groups)


def metrics_of(n_classes: int) -> list[Metric]:
    """All metrics that exist for so many classes."""
    if n_classes == 2:
        return list(METRICS.values())
    costs = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes))) ** 1.5
    return [*METRICS.values(), find_metric("top2"), cost_metric(costs)]


def truth(metric: Metric, rows: Drawn) -> tuple[float, float]:
    """Value of the base, and gain."""
    base, new = (metric.measure(rows.labels, p) for p in (rows.base, rows.new))
    return base.value, metric.gain(new, base).value


def intervals(metric: Metric, rows: Drawn) -> tuple[tuple[float, float], tuple[float, float]]:
    """Intervals of the value of the base and of the gain, as reports have them."""
    base, new = (metric.measure(rows.labels, p) for p in (rows.base, rows.new))
    if metric.name == "accuracy" and rows.groups is None:
        counts = compare(rows.base.argmax(axis=1), rows.new.argmax(axis=1), rows.labels)
        right = int(np.sum(rows.base.argmax(axis=1) == rows.labels))
        return wilson_interval(right, counts.rows), counts.gain_ci
    return (
        metric.estimate(base, groups=rows.groups).interval,
        metric.gain(new, base, groups=rows.groups).interval,
    )


def coverage(
    prior: Sequence[float], n: int, *, grouped: bool, repeats: int, population: int
) -> list[tuple[str, float, float]]:
    """Metrics with the coverage of their intervals and of those of gains."""
    metrics = metrics_of(len(prior))
    rng = np.random.default_rng([*(int(1000 * share) for share in prior), n, int(grouped)])
    many = draw(rng, population, prior, grouped=grouped)
    wanted = [truth(metric, many) for metric in metrics]
    del many
    held = np.zeros((len(metrics), 2))
    for _ in range(repeats):
        rows = draw(rng, n, prior, grouped=grouped)
        for each, metric, values in zip(held, metrics, wanted, strict=True):
            for k, (low, high) in enumerate(intervals(metric, rows)):
                each[k] += low <= values[k] <= high
    return [
        (metric.name, float(shares[0]), float(shares[1]))
        for metric, shares in zip(metrics, held / repeats, strict=True)
    ]


def main() -> None:
    """Print the tables in Markdown: coverage of values / of gains, in per cent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--population", type=int, default=2_000_000, help="rows that are the truth")
    options = parser.parse_args()
    cases = [(n, grouped) for n in SIZES for grouped in (False, True)]
    heads = [f"n = {n}, {n // GROUP} groups" if g else f"n = {n}" for n, g in cases]
    with ProcessPoolExecutor(available_cores()) as pool:
        found = {
            name: [
                pool.submit(
                    coverage,
                    prior,
                    n,
                    grouped=grouped,
                    repeats=options.repeats,
                    population=options.population,
                )
                for n, grouped in cases
            ]
            for name, prior in PRIORS.items()
        }
        for name, futures in found.items():
            print(f"| {name} | {' | '.join(heads)} |")
            print("|---" * (len(cases) + 1) + "|")
            for lines in zip(*(future.result() for future in futures), strict=True):
                cells = (f"{100 * value:.1f} / {100 * gain:.1f}" for _, value, gain in lines)
                print(f"| {lines[0][0]} | {' | '.join(cells)} |")
            print(flush=True)


if __name__ == "__main__":
    main()
