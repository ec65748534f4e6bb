"""How often the interval that `auto` quotes covers the gain that it then has.

    python -m benchmarks.gains.coverage [RUNDIR...] [--repeats 200] [--jobs 1] [--seed 0]

Each repetition fits `auto` to a fresh sample, lets it look at a target with the same class
frequencies and at one with others, and measures on many rows what its decision gains over the best
member. Without run directories the tasks are made up: Gaussian scores with planted class bias,
confusion and temperature. Of run directories the labelled rows of both splits are drawn anew.

"Plain" is the interval that knows of no choice: the paired difference of accuracies out of fold,
re-weighted to the prior that adaptation uses. Errors (quoted less true) and widths are in points.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble import AdaptedPipeline, AutoPostprocessor
from ensemble.auto.rehearsal import PairedGain, paired_gain
from postproc.shift.reweight import reweight_rows

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = tuple[list[Matrix], Labels]

#: Rows that measure the gain of a decision where rows can be made up.
TEST_ROWS = 10_000


@dataclass(frozen=True)
class Quote:
    """What was quoted for one target, and what came."""

    group: str
    quoted: PairedGain
    plain: PairedGain
    true: PairedGain

    def covers(self, gain: PairedGain) -> bool:
        """Whether the interval of a gain covers the true one, known but for its own error."""
        error = np.hypot(gain.std_error, self.true.std_error)
        return bool(abs(gain.gain - self.true.gain) <= 1.96 * error)


def made_up(seed: int) -> tuple[Rows, list[tuple[str, Rows, Rows]]]:
    """Fit rows, and of each kind of target some rows and many more."""
    rng = np.random.default_rng([seed, 0])
    n = int(rng.choice([200, 500, 1000, 2000], p=[0.45, 0.35, 0.15, 0.05]))
    n_classes = int(rng.choice([3, 8, 30], p=[0.5, 0.4, 0.1]))
    n_members = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.15, 0.05]))
    distance, shared = rng.uniform(1.2, 2.4), rng.choice([0.98, 0.8, 0.4])
    strength = rng.choice([0.0, 0.1, 0.2, 0.4, 0.7])
    bias = 2.0 * strength * rng.standard_normal((n_members, n_classes))
    confusion = rng.standard_normal((n_members, n_classes, n_classes)) / np.sqrt(n_classes)
    temperature = rng.uniform(0.5, 3.0, n_members)

    def draw(rows: int, prior: Matrix) -> Rows:
        y = rng.choice(n_classes, rows, p=prior)
        common = rng.standard_normal((rows, n_classes))
        members = []
        for k in range(n_members):
            noise = rng.standard_normal((rows, n_classes))
            x = np.sqrt(shared) * common + np.sqrt(1.0 - shared) * noise
            x = distance * (x + distance * np.eye(n_classes)[y])
            members.append(temperature[k] * (x + bias[k] + 0.6 * strength * x @ confusion[k]))
        return members, y

    even = np.full(n_classes, 1.0 / n_classes)
    moved = 0.97 * rng.dirichlet(rng.choice([0.5, 2.0, 20.0]) * np.ones(n_classes)) + 0.03 * even
    seen = int(rng.choice([300, 1000]))
    targets = [
        (name, draw(seen, prior), draw(TEST_ROWS, prior))
        for name, prior in (("none", even), ("shift", moved))
    ]
    return draw(n, even), targets


def drawn_from(folder: Path, seed: int) -> tuple[Rows, list[tuple[str, Rows, Rows]]]:
    """Return the same from the labelled rows of a run directory; the target is its own test."""
    rng = np.random.default_rng([seed, 1])
    names = sorted(f.name[: -len(".val.npy")] for f in folder.glob("*.val.npy"))
    names.remove("labels")
    y = np.concatenate([np.load(folder / f"labels.{split}.npy") for split in ("val", "test")])
    picked = rng.choice(names, min(len(names), int(rng.choice([1, 2, 3]))), replace=False)
    members = [
        np.concatenate([np.load(folder / f"{name}.{split}.npy") for split in ("val", "test")])
        for name in picked
    ]
    n_classes = members[0].shape[1]
    order = rng.permutation(len(y))
    fit, rest = np.split(order, [int(rng.choice([200, 400, 800]))])
    counts = np.maximum(np.bincount(y[rest], minlength=n_classes), 1)
    prior = rng.dirichlet(rng.choice([0.5, 2.0, 20.0]) * np.ones(n_classes))
    chance = (prior / counts)[y[rest]] + 1e-12
    moved = rng.choice(rest, len(rest) // 3, replace=False, p=chance / chance.sum())

    def rows(index: Labels) -> Rows:
        return [m[index].astype(np.float64) for m in members], y[index]

    return rows(fit), [("none", rows(rest), rows(rest)), ("shift", rows(moved), rows(moved))]


def repeat(folder: Path | None, seed: int) -> list[Quote]:
    """One fit, and the quotes for its targets."""
    (members, y), targets = made_up(seed) if folder is None else drawn_from(folder, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        auto = AutoPostprocessor().fit(members, y, kinds="logits")
        return [
            judge(f"{'made up' if folder is None else 'real'} | {shift}", auto, seen[0], many)
            for shift, seen, many in targets
        ]


def judge(group: str, auto: AutoPostprocessor, seen: list[Matrix], many: Rows) -> Quote:
    """What is quoted for a target that was seen, and what it gains on many rows."""
    adapted: AdaptedPipeline = auto.adapt_to(seen, kinds="logits")
    decision, policy = adapted.decision_, auto.policy_
    assert policy is not None
    assert decision.expected is not None
    old = many[0][auto.best_].argmax(axis=1)
    true = paired_gain(adapted.predict(many[0], kinds="logits"), old, many[1])
    after, weights = policy.classes_after[int(decision.action == "calibrate")], None
    if decision.prior is not None and decision.source_prior is not None:
        new = reweight_rows(policy.held_out, decision.source_prior, decision.prior.prior)
        counts = np.maximum(np.bincount(policy.labels, minlength=new.shape[1]), 1)
        after, weights = new.argmax(axis=1), (decision.prior.prior / counts)[policy.labels]
    plain = paired_gain(after, policy.baseline, policy.labels, weights)
    way = "alone" if auto.combiner_ is None else "combined"
    return Quote(f"{group} | {way} | {decision.action}", decision.expected, plain, true)


def table(quotes: Iterable[Quote]) -> list[str]:
    """One line a group: repetitions, coverage, mean error and mean width, plain and as quoted."""
    groups: dict[str, list[Quote]] = {}
    for quote in quotes:
        groups.setdefault(quote.group, []).append(quote)
    lines = [
        "| tasks | shift | members | action | times | plain: covers | error | width "
        "| quoted: covers | error | width |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group, found in sorted(groups.items()):
        cells = [group, str(len(found))]
        for gains in ([q.plain for q in found], [q.quoted for q in found]):
            covered = np.mean([q.covers(gain) for q, gain in zip(found, gains, strict=True)])
            error = np.mean([gain.gain - q.true.gain for q, gain in zip(found, gains, strict=True)])
            width = np.mean([2.0 * 1.96 * gain.std_error for gain in gains])
            cells += [f"{100 * covered:.1f} %", f"{100 * error:+.2f}", f"{100 * width:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(words: Sequence[str] | None = None) -> None:
    """Repeat, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="RUNDIR")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    seeds = range(given.seed, given.seed + given.repeats)
    folders = [given.folders[i % len(given.folders)] if given.folders else None for i in seeds]
    if given.jobs == 1:
        found = list(map(repeat, folders, seeds))
    else:
        with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(repeat, folders, seeds))
    print("\n".join(table(quote for quotes in found for quote in quotes)))


if __name__ == "__main__":
    main()
