"""Rows that share an id become one: test-time augmentation, patches, chunks, files of folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.pools import linear_pool, log_linear_pool, majority, max_pool, median_pool
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_cuts
from postproc.scores.checks import check_choice, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.multilabel import label_log_odds
from postproc.scores.names import some
from postproc.scores.predictions import Predictions

Rule = Literal["soft", "log", "median", "max", "hard"]
RULES = ("soft", "log", "median", "max", "hard")


@dataclass(frozen=True)
class RowGroups:
    """Rows sorted by group: those of group g are `where[starts[g] : starts[g + 1]]`."""

    ids: NDArray[np.str_]
    where: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, ids: Any, order: Any = None) -> RowGroups:
        """Group rows by id, in order of first appearance or in the order of other ids."""
        names, first, group = np.unique(
            np.asarray(ids).astype(np.str_), return_index=True, return_inverse=True
        )
        wanted = np.argsort(first) if order is None else _in_order(names, order)
        place = np.empty(len(names), np.int64)
        place[wanted] = np.arange(len(names))
        groups = place[group.reshape(-1)]
        where = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[where], np.arange(len(names) + 1))
        return cls(names[wanted], where, starts)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class PoolRows:
    """The pooled rows of some groups, from files whose rows follow each other."""

    files: tuple[Predictions, ...]
    groups: RowGroups
    rule: Rule = "soft"

    def cuts(self, sizes: Sizes = DEFAULT_SIZES) -> tuple[slice, ...]:
        """Blocks of groups whose rows together have about the size of one block."""
        rows_each = -(-len(self.groups.where) // max(1, len(self.groups)))
        return row_cuts(len(self.groups), rows_each * self.files[0].n_classes, sizes)

    def __call__(self, groups: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """One row for each of the groups start..stop, and no counts."""
        starts = self.groups.starts[groups.start : groups.stop + 1]
        read = self._read(self.groups.where[starts[0] : starts[-1]])
        out = np.empty((len(starts) - 1, read.shape[1]), self.output_dtype)
        sizes, pool = np.diff(starts), _pool_labels if self.files[0].multilabel else _pool
        for size in np.unique(sizes):  # groups of one size are an ensemble of that many members
            these = np.flatnonzero(sizes == size)
            first = starts[these] - starts[0]
            out[these] = pool([read[first + member] for member in range(size)], self.rule)
        return out, {}

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """The widest of the files'."""
        return np.result_type(*(file.output_dtype for file in self.files))

    def _read(self, where: NDArray[np.int64]) -> NDArray[Any]:
        """Rows by position, (r, C): logarithms or log-odds for the log pool, else probabilities."""
        ends = np.cumsum([file.n_rows for file in self.files])
        out = np.empty((len(where), self.files[0].n_classes), self.output_dtype)
        belongs = np.searchsorted(ends, where, side="right")
        for number, file in enumerate(self.files):
            these = np.flatnonzero(belongs == number)
            these = these[np.argsort(where[these], kind="stable")]
            if len(these):
                rows: Any = where[these] - (ends[number] - file.n_rows)
                if self.rule != "log":
                    out[these] = file.probabilities(rows)
                elif file.multilabel:
                    out[these] = label_log_odds(as_numpy(file.scores[rows, :]), file.kind)
                else:
                    out[these] = file.log_probabilities(rows)
        return out


@takes_frames("predictions", stacked=True)
def pool_rows(
    predictions: Any,
    ids: Any = None,
    *,
    rule: Rule = "soft",
    order: Any = None,
    classes: Sequence[str] | None = None,
) -> Predictions:
    """Pool rows that share an id into one row.

    Parameters
    ----------
    predictions : Predictions or table, or sequence of them
        Scores of shape (n, C) of the same classes; rows of several follow each other.
    ids : array_like of shape (n,), optional
        Id of every row, in place of those that the predictions carry.
    rule : {"soft", "log", "median", "max", "hard"}
        How rows are pooled: mean of probabilities, of log-probabilities, median, maximum scaled to
        sum 1, or share of the votes.
    order : array_like of shape (g,), optional
        Ids in the wanted order; the order of first appearance by default.
    classes : sequence of C str, optional
        Class names, where the predictions carry none.

    Returns
    -------
    Predictions
        Probabilities of shape (g, C), with one id a row.

    Raises
    ------
    ValueError
        If there are no ids, their number differs from that of the rows, `order` holds others, or
        the classes differ.

    Examples
    --------
    >>> pool_rows(Predictions.check([[0.8, 0.2], [0.4, 0.6]]), ids=["a", "a"]).scores
    array([[0.6, 0.4]])
    """
    check_choice(rule, "rule", RULES)
    several = isinstance(predictions, list | tuple)
    files = tuple(
        each if isinstance(each, Predictions) else Predictions.check(each, classes=classes)
        for each in (predictions if several else (predictions,))
    )
    part = PoolRows(files, RowGroups.of(row_ids(files, ids), order), rule)
    pooled = [part(cut)[0] for cut in part.cuts()]
    return replace(
        files[0],
        scores=np.concatenate(pooled),
        kind="probs",
        ids=part.groups.ids,
        name="predictions",
        predicted=None,
    )


def row_ids(files: Sequence[Predictions], ids: Any = None) -> NDArray[np.str_]:
    """One id for every row of all files, (n,): those given, or those that the files carry."""
    if not files:
        fail("predictions", "one or more", "none")
    for file in files:
        if file.classes != files[0].classes or file.n_classes != files[0].n_classes:
            fail(f"classes of {file.name}", f"those of {files[0].name}", _classes(file))
    n_rows = sum(file.n_rows for file in files)
    if ids is not None:
        given = np.asarray(ids).astype(np.str_)
        if given.shape != (n_rows,):
            fail("ids", f"of shape ({n_rows},), one for each row", f"shape {given.shape}")
        return given
    for file in files:
        if file.ids is None:
            fail(file.name, "predictions with an id for each row", "no ids", "name them with --by")
    return np.concatenate([np.asarray(file.ids) for file in files])


def _classes(file: Predictions) -> str:
    return f"{file.n_classes} without names" if file.classes is None else some(file.classes)


def _in_order(names: NDArray[np.str_], order: Any) -> NDArray[np.int64]:
    """Positions of sorted names in a wanted order that holds each of them once."""
    wanted = np.asarray(order).astype(np.str_)
    if len(np.unique(wanted)) != len(wanted):
        fail("order", "ids that differ", "one that occurs twice")
    for what, these, those in (("has no row", wanted, names), ("is not in it", names, wanted)):
        missing = these[~np.isin(these, those)]
        if len(missing):
            fail(
                "order", "the ids of the rows, each once", f"{some(missing.tolist())}, which {what}"
            )
    return np.searchsorted(names, wanted)


def _pool(rows: list[NDArray[Any]], rule: Rule) -> NDArray[Any]:
    """One row of each of k stacks of rows, (g, C)."""
    weights = np.full(len(rows), 1 / len(rows))
    if rule == "log":
        return np.asarray(log_linear_pool(rows, weights))
    if rule == "hard":
        winners = [row.argmax(axis=1) for row in rows]
        return np.asarray(majority(winners, rows, weights, "support", None))
    pool = {"soft": linear_pool, "median": median_pool, "max": max_pool}[rule]
    return np.asarray(pool(rows, weights))


def _pool_labels(rows: list[NDArray[Any]], rule: Rule) -> NDArray[Any]:
    """One row of each of k stacks of rows, (g, m), label by label."""
    stack = np.stack(rows)
    if rule == "log":
        return np.asarray(np.exp(-np.logaddexp(0.0, -stack.mean(axis=0))))
    if rule == "hard":
        return np.asarray((stack >= 0.5).mean(axis=0))
    pool: Any = {"soft": np.mean, "median": np.median, "max": np.max}[rule]
    return np.asarray(pool(stack, axis=0))
