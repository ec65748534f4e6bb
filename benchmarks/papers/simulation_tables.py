"""Tables of the simulation: Markdown for reading, CSV for further work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

from benchmarks.papers.reference_study import ReferenceCell
from benchmarks.papers.simulation import ALL, BUCKETS, GIVEN, Cell
from benchmarks.papers.tables import csv_text, markdown


def default_setting(cells: Sequence[Cell]) -> str:
    """Gain on all ambiguous rows at α = 1 and d = 1, a column for each number of classes."""
    own = [c for c in cells if (c.alpha, c.iterations, c.bucket) == (1.0, 1, ALL)]
    classes = list(dict.fromkeys(c.classes for c in own))
    lines = []
    for situation, truth in dict.fromkeys((c.situation, c.truth) for c in own):
        here = [c for c in own if (c.situation, c.truth) == (situation, truth)]
        base = [c.accuracy for c in here if c.given == GIVEN[0]]
        shown = " to ".join(f"{100 * a:.0f}" for a in (min(base), max(base)))
        for given in GIVEN:
            texts = [
                f"{100 * c.gain:+.1f} ± {50 * (c.high - c.low):.1f}"
                for c in here
                if c.given == given
            ]
            lines.append([situation, truth, given, shown, *texts])
    heading = ["classifier", "classes are", "CAN is given", "before, %"]
    return markdown([*heading, *(f"C = {c}" for c in classes)], lines)


def counts(cells: Sequence[Cell]) -> str:
    """How many settings gain and lose for certain, over all C, α, d; and the authors' measure."""
    lines = []
    for situation, given in dict.fromkeys((c.situation, c.given) for c in cells):
        own = [c for c in cells if (c.situation, c.given) == (situation, given) and c.bucket == ALL]
        signs = Counter("gain" if c.low > 0 else "loss" if c.high < 0 else "unclear" for c in own)
        best, worst = max(own, key=lambda c: c.gain), min(own, key=lambda c: c.gain)
        early = [c for c in own if c.iterations <= 2]
        lines.append(
            [
                situation,
                given,
                str(len(own)),
                *(str(signs[name]) for name in ("gain", "loss", "unclear")),
                *(_where(c) for c in (best, worst)),
                f"{100 * fmean(c.mass for c in early):+.1f}",
                f"{100 * fmean(c.gain for c in early):+.1f}",
            ]
        )
    heading = ["classifier", "CAN is given", "settings", "gain", "loss", "unclear", "best", "worst"]
    return markdown([*heading, "authors' measure, %, d <= 2", "gain, points, d <= 2"], lines)


def by_setting(cells: Sequence[Cell], situation: str) -> str:
    """Gain for every α and d, mean over truths and C, with the true prior and the wrong one."""
    own = [c for c in cells if c.situation == situation and c.bucket == ALL]
    depths = list(dict.fromkeys(c.iterations for c in own))
    lines = []
    for given in GIVEN:
        for alpha in dict.fromkeys(c.alpha for c in own):
            means = [
                fmean(
                    c.gain for c in own if (c.given, c.alpha, c.iterations) == (given, alpha, depth)
                )
                for depth in depths
            ]
            lines.append([given, f"{alpha:g}", *(f"{100 * mean:+.1f}" for mean in means)])
    return markdown(["CAN is given", "α", *(f"d = {depth}" for depth in depths)], lines)


def by_bucket(cells: Sequence[Cell]) -> str:
    """Gain at α = 1 and d = 1 by entropy, mean over truths and C, and the accuracy before."""
    own = [c for c in cells if (c.alpha, c.iterations) == (1.0, 1)]
    lines = []
    for situation, given in dict.fromkeys((c.situation, c.given) for c in own):
        texts = []
        for bucket in BUCKETS:
            key = (situation, given, bucket)
            here = [c for c in own if (c.situation, c.given, c.bucket) == key]
            before, gain = fmean(c.accuracy for c in here), fmean(c.gain for c in here)
            texts.append(f"{100 * gain:+.1f} (of {100 * before:.0f} %)")
        lines.append([situation, given, *texts])
    heading = ["classifier", "CAN is given", *(f"entropy {bucket}" for bucket in BUCKETS)]
    return markdown(heading, lines)


def to_csv(cells: Sequence[Cell | ReferenceCell]) -> str:
    """Every cell; shares are fractions."""
    return csv_text([asdict(cell) for cell in cells])


def _where(cell: Cell) -> str:
    at = f"{cell.truth}, C = {cell.classes}, α = {cell.alpha:g}, d = {cell.iterations}"
    return f"{100 * cell.gain:+.1f} ({at})"
