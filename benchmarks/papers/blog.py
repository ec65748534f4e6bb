r"""The blog's figures, and what the members of run directories give at like accuracy and classes.

Two rows stand beside each published one. The first is the real member whose class count is
nearest (by ratio) and, of those, whose accuracy is. It counts as near within a factor of 1.6 of
the classes and 5 points of accuracy. The others are *degraded*: the member of the nearest class
count with the least accuracy above the published, made worse by noise until its accuracy is the
published one,

    z' = (log p + σ ε) / T,   ε ~ N(0, 1) for every entry, by a seed,

with σ found by bisection on the labels of the target. σ is the only thing chosen by them, and it
chooses a difficulty, not a gain. T is chosen without them: either fitted to the validation rows
by their log-loss (made worse by the same σ), or such that the share of ambiguous rows is what the
blog implies. It says that confident rows are right in "0.63+" (IFLYTEK) and "0.58+" (TNEWS) of
cases and doubtful ones in "0.22+" and "0.23+": with half a point for the plus, 8 % and 5 % of the
rows are doubtful.

Figures of degraded members are means over noise seeds; their intervals are those of the mean
numbers of fixed and broken rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.protocol import SETTINGS, Member, Result, apply
from benchmarks.papers.tables import gain_text, markdown
from postproc.calibration.temperature import TemperatureScaling
from postproc.can.options import PRESETS
from postproc.evaluation.paired import Comparison
from postproc.scores.confidence import top_k_entropy

Floats = NDArray[np.float64]

#: Bounds within which a member counts as near a published figure.
CLASS_RATIO, ACCURACY_DISTANCE = 1.6, 0.05
BISECTIONS = 40
WIDEST = 2.0**10


@dataclass(frozen=True)
class Published:
    """A figure of the blog: accuracies before and after, and the doubtful share it implies."""

    task: str
    model: str
    classes: int
    before: float
    after: float
    ambiguous: float


#: Su (22 October 2021), kexue.fm/archives/8728, validation sets of CLUE.
PUBLISHED = (
    Published("IFLYTEK", "BERT", 119, 0.6006, 0.6052, 0.08),
    Published("IFLYTEK", "RoBERTa", 119, 0.6064, 0.6095, 0.08),
    Published("TNEWS", "BERT", 15, 0.5680, 0.5686, 0.05),
    Published("TNEWS", "RoBERTa", 15, 0.5806, 0.5800, 0.05),
)


@dataclass(frozen=True)
class Line:
    """What one of our members gives beside a published figure; shares are fractions."""

    published: Published
    ours: str
    how: str
    classes: int
    before: float
    ambiguous: float
    before_ambiguous: float
    comparison: Comparison


def run_preset(member: Member) -> Result:
    """CAN as the blog has it."""
    return apply(member, SETTINGS[0], PRESETS["blog"])


def nearest(found: Sequence[Member], published: Published, least: float = 0.0) -> Member | None:
    """Member of the nearest class count, then accuracy, of those with at least this accuracy."""
    able = [member for member in found if member.accuracy >= least]
    if not able:
        return None
    return min(
        able,
        key=lambda m: (
            abs(math.log(m.n_classes / published.classes)),
            abs(m.accuracy - published.before),
        ),
    )


def is_near(member: Member, published: Published) -> bool:
    """Whether a member may stand beside a figure without being degraded."""
    ratio = abs(math.log(member.n_classes / published.classes))
    distance = abs(member.accuracy - published.before)
    return ratio <= math.log(CLASS_RATIO) and distance <= ACCURACY_DISTANCE


def degrade(member: Member, accuracy: float, seed: int, ambiguous: float | None) -> Member:
    """Add noise until the accuracy falls to this; then T by log-loss, or for a doubtful share."""
    rng = np.random.default_rng(seed)
    val, test = (np.log(np.maximum(p, 1e-30, dtype=np.float64)) for p in (member.val, member.test))
    noise = rng.standard_normal(test.shape)
    val_noise = rng.standard_normal(val.shape)

    def is_too_good(sigma: float) -> bool:
        found = ((test + sigma * noise).argmax(axis=1) == member.labels).mean()
        return bool(found > accuracy)

    sigma = _bisect(is_too_good, 0.0, 64.0)
    test, val = test + sigma * noise, val + sigma * val_noise
    if ambiguous is None:
        model = TemperatureScaling(kind="logits").fit(val, member.val_labels)
        test, val = (np.asarray(model.predict_proba(z)) for z in (test, val))
    else:
        share, width = ambiguous, min(3, member.n_classes)
        threshold = PRESETS["blog"].threshold

        def is_too_sharp(temperature: float) -> bool:
            entropy = top_k_entropy(_softmax(test / temperature), width)
            return bool((entropy >= threshold).mean() < share)

        temperature = _bisect(is_too_sharp, 1 / WIDEST, WIDEST)
        test, val = (_softmax(z / temperature) for z in (test, val))
    return replace(member, test=test, val=val)


def compare_with_blog(
    found: Sequence[Member],
    *,
    published: Sequence[Published] = PUBLISHED,
    seeds: int = 10,
    say: Callable[[str], None] = lambda line: None,
) -> list[Line]:
    """Lines of ours for every published figure; see the module's text."""
    lines = []
    for figure in published:
        real = nearest(found, figure)
        if real is not None:
            how = "as it is" if is_near(real, figure) else "as it is, not near"
            lines.append(_line(figure, how, [run_preset(real)]))
        better = nearest(found, figure, least=figure.before)
        if better is not None:
            for how, share in (
                ("degraded, T by log-loss", None),
                (f"degraded, T for {100 * figure.ambiguous:.0f} % ambiguous", figure.ambiguous),
            ):
                worse = (degrade(better, figure.before, seed, share) for seed in range(seeds))
                lines.append(_line(figure, how, [run_preset(member) for member in worse]))
        say(f"{figure.task}, {figure.model}")
    return lines


def table(lines: Sequence[Line]) -> str:
    """Published beside ours."""
    heading = ["published", "before, after (gain)", "ours", "how", "classes", "before", "after"]
    heading += ["gain [95 %]", "fixed, broken", "ambiguous, %", "before on these"]
    rows = []
    for line in lines:
        p, c = line.published, line.comparison
        rows.append(
            [
                f"{p.task}, {p.classes} classes, {p.model}",
                f"{100 * p.before:.2f}, {100 * p.after:.2f} ({100 * (p.after - p.before):+.2f})",
                line.ours,
                line.how,
                str(line.classes),
                f"{100 * line.before:.2f}",
                f"{100 * (line.before + c.gain):.2f}",
                gain_text(c),
                f"{c.fixed}, {c.broken}",
                f"{100 * line.ambiguous:.1f}",
                f"{100 * line.before_ambiguous:.1f}",
            ]
        )
    return markdown(heading, rows)


def _line(figure: Published, how: str, results: Sequence[Result]) -> Line:
    whole = [r.everything for r in results]
    parts = [r for r in results if r.ambiguous is not None]
    rows = whole[0].rows
    return Line(
        figure,
        f"{results[0].task}, {results[0].model}",
        how,
        results[0].classes,
        fmean(r.before for r in results),
        fmean(0 if r.ambiguous is None else r.ambiguous.rows / rows for r in results),
        fmean(r.before_ambiguous for r in parts) if parts else float("nan"),
        Comparison(
            rows, round(fmean(c.fixed for c in whole)), round(fmean(c.broken for c in whole))
        ),
    )


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `is_below` turns false, or the end that is nearer to it."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
