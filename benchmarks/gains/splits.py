"""Rows for training, validation and test; few labelled rows; wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.folds import stratified_folds
from postproc.scores.checks import fail

Ints = NDArray[np.int64]

SPLITS = ("train", "val", "test")
# Streams of random numbers: one more option leaves the draws of the others as they are.
_ROWS, _SPLIT, _NOISE, _FOLDS = range(4)


@dataclass(frozen=True)
class SplitPlan:
    """How rows are split.

    Attributes
    ----------
    val, test : float
        Shares of a class that are held out, where the data set has no such split of its own; one
        row at least.
    shots : int or None
        Training rows a class; None takes all.
    val_shots : int or None
        Validation rows a class.
    drop_rare : bool
        Leave out classes with too few rows, rather than stop.
    seed : int
        Seed of all draws.
    """

    val: float = 0.2
    test: float = 0.2
    shots: int | None = None
    val_shots: int | None = None
    drop_rare: bool = False
    seed: int = 0


def draw_rows(y: Ints, n_rows: int, seed: int) -> Ints:
    """Draw rows without replacement, the classes as common as they are, to within a row.

    Parameters
    ----------
    y : array of shape (n,)
        Classes.
    n_rows : int
        Rows wanted; all are taken where there are no more.
    seed : int
        Seed of the draw.

    Returns
    -------
    array of shape (min(n, n_rows),)
        Rows, in ascending order.
    """
    ranks, counts = _ranks(y, np.random.default_rng([seed, _ROWS]))
    order = np.lexsort((y, (ranks + 0.5) / counts[y]))
    return np.sort(order[:n_rows])


def split_rows(
    y: Ints, classes: Sequence[str], official: NDArray[np.str_] | None, plan: SplitPlan
) -> tuple[dict[str, Ints], Ints, list[str]]:
    """Split rows class by class; splits that the data set has are kept.

    A class gives its rows to the test split first, then to validation, and training takes what is
    left, or its first `shots` rows. So the test rows of a seed are the same for all numbers of
    shots.

    Parameters
    ----------
    y : array of shape (n,)
        Classes 0..C-1.
    classes : sequence of C str
        Names, for messages.
    official : array of shape (n,) or None
        "train", "val" or "test".
    plan : SplitPlan
        Shares and numbers of rows.

    Returns
    -------
    rows : dict of str to array
        Ascending rows of train, val and test.
    kept : array of int
        Classes that have enough rows.
    remarks : list of str
        What was left out.

    Raises
    ------
    ValueError
        If a class has too few rows and `drop_rare` is false, or fewer than two classes are left.
    """
    n_classes = len(classes)
    has = {s: official is not None and bool((official == s).any()) for s in SPLITS}
    pools = {s: (official == s) if has[s] else np.zeros(len(y), bool) for s in SPLITS}
    if official is None:
        pools["train"] = np.ones(len(y), bool)
    counts = {s: np.bincount(y[pools[s]], minlength=n_classes) for s in SPLITS}
    take = {s: _held_out(counts["train"], getattr(plan, s)) for s in ("val", "test")}
    if plan.val_shots is not None:
        take["val"] = np.full(n_classes, plan.val_shots)
    source = {s: s if has[s] else "train" for s in SPLITS}
    left = counts["train"] - sum(take[s] for s in ("val", "test") if not has[s])
    wanted = 1 if plan.shots is None else plan.shots
    enough = left >= wanted
    if has["val"] and plan.val_shots is not None:
        enough &= counts["val"] >= plan.val_shots
    total = counts["train"] + counts["val"] + counts["test"]
    remarks = _rare(classes, total, enough, plan)
    ranks, _ = _ranks(y + n_classes * pools["val"] + 2 * n_classes * pools["test"], _rng(plan))
    rows = {}
    taken = np.zeros(n_classes, np.int64)
    for split in ("test", "val"):
        pool = pools[source[split]] & enough[y]
        if not has[split]:
            pool &= (ranks >= taken[y]) & (ranks < (taken + take[split])[y])
            taken = taken + take[split]
        elif split == "val" and plan.val_shots is not None:
            pool &= ranks < plan.val_shots
        rows[split] = np.flatnonzero(pool)
    pool = pools["train"] & enough[y] & (ranks >= taken[y])
    if plan.shots is not None:
        pool &= ranks < (taken + plan.shots)[y]
    rows["train"] = np.flatnonzero(pool)
    kept = np.flatnonzero(enough)
    for split in ("val", "test"):
        absent = np.setdiff1d(kept, y[rows[split]])
        if len(absent):
            remarks.append(f"{len(absent)} of {len(kept)} classes have no row in {split}")
    return {split: rows[split] for split in SPLITS}, kept, remarks


def add_noise(y: Ints, share: float, n_classes: int, seed: int, stream: int = 0) -> Ints:
    """Replace a share of labels, each by another class, all others equally likely.

    Parameters
    ----------
    y : array of shape (n,)
        Classes 0..C-1.
    share : float
        Share of the rows, 0..1; round(share·n) labels change.
    n_classes : int
        C.
    seed, stream : int
        Seed of the draw, and which of several draws it is.

    Returns
    -------
    array of shape (n,)
        Labels with errors.
    """
    rng = np.random.default_rng([seed, _NOISE, stream])
    wrong = rng.choice(len(y), round(share * len(y)), replace=False)
    noisy = y.copy()
    noisy[wrong] = (y[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    return noisy


def training_folds(y: Ints, n_folds: int, seed: int) -> Ints:
    """Fold of each row, each class spread evenly at random; a class may have fewer rows than folds.

    Parameters
    ----------
    y : array of shape (n,)
        Classes.
    n_folds : int
        Number of folds; n where there are fewer rows.
    seed : int
        Seed of the draw.

    Returns
    -------
    array of shape (n,)
        Fold of each row.
    """
    places = np.random.default_rng([seed, _FOLDS]).random((len(y), 1))
    return stratified_folds(places, y, min(n_folds, len(y)), seed)


def _rng(plan: SplitPlan) -> np.random.Generator:
    return np.random.default_rng([plan.seed, _SPLIT])


def _ranks(groups: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Place of every row in its group, groups shuffled; and the rows of each group."""
    order = np.lexsort((rng.random(len(groups)), groups))
    counts = np.bincount(groups)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - starts[groups[order]]
    return ranks, counts


def _held_out(counts: Ints, share: float) -> Ints:
    held_out: Ints = np.maximum(1, np.rint(share * counts)).astype(np.int64)
    return held_out


def _rare(
    classes: Sequence[str], counts: Ints, enough: NDArray[np.bool_], plan: SplitPlan
) -> list[str]:
    """Say which classes have too few rows, or stop there."""
    rare = np.flatnonzero(~enough)
    if not len(rare):
        return []
    some = ", ".join(f"{classes[j]!r} ({counts[j]} rows)" for j in rare[:3])
    some += ", ..." if len(rare) > 3 else ""
    few = f"{len(rare)} of {len(classes)} classes"
    if not plan.drop_rare:
        shots = "" if plan.shots is None else f" with {plan.shots} training rows a class"
        mend = "ask for fewer rows, or leave these classes out with --drop-rare"
        fail("classes", f"of enough rows for the splits{shots}", f"too few in {few}: {some}", mend)
    if len(classes) - len(rare) < 2:
        fail("classes", "two or more with enough rows for the splits", f"too few in {few}: {some}")
    return [f"left out for want of rows, {few} and {int(counts[rare].sum())} rows: {some}"]
