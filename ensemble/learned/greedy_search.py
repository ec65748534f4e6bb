"""The search behind greedy selection: the metric of every mean with one member more.

Each step tries all members at once on the rows that are still open: class c cannot overtake the
leader w by one addition if S_w - S_c > max_m P_mc, and most rows are settled after a few steps. The
search runs in float32, so only rows whose best classes agree to six digits may differ from float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Members
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.kinds import LEAST_PROBABILITY

FastMetric = Literal["accuracy", "log_loss", "macro_f1"]
METRICS = ("accuracy", "log_loss", "macro_f1")

Counts = NDArray[np.int64]
Singles = NDArray[np.float32]

#: Bytes of a block in float64, twice those of float32: smaller ones cost more calls than the cache
#: saves.
BLOCK_BYTES = 4 * DEFAULT_SIZES.cached


class Search:
    """The members' probabilities laid out for the search: for each class and row, all members."""

    def __init__(
        self, members: Members, y: Counts, metric: FastMetric, *, slack: float = 1e-4
    ) -> None:
        self.slack = np.float32(slack)  # a lead in float32 that rounding may make
        self.members, self.y, self.metric = members, y, metric
        self.by_label = np.argsort(y, kind="stable")
        self.labels = np.bincount(y, minlength=members.n_classes)
        shape = (members.n_classes, len(y), len(members))
        self.true = np.empty((shape[2], shape[1]), dtype=np.float32)
        self.probs = np.empty(shape if metric != "log_loss" else (0, 0, 0), dtype=np.float32)
        self.highest = np.empty(self.probs.shape[:2], dtype=np.float32)
        self.sums = np.empty(0, dtype=np.float32)
        for rows in row_blocks(len(y), shape[0] * shape[2], block_bytes=BLOCK_BYTES):
            blocks = [as_numpy(member.probabilities(rows)) for member in members]
            block = np.array(blocks, dtype=np.float32)
            self.true[:, rows] = block[:, np.arange(block.shape[1]), y[rows]]
            if metric != "log_loss":
                self.probs[:, rows] = block.transpose(2, 1, 0)
                self.highest[:, rows] = block.max(axis=0).T

    def run(self, candidates: Counts, n_steps: int) -> tuple[Counts, NDArray[np.float64]]:
        """Members in the order of their addition, and the metric after each."""
        total = np.zeros_like(self.highest)
        total_true = np.zeros(len(self.y), dtype=np.float32)
        selected, scores = [], []
        for step in range(n_steps):
            if self.metric == "log_loss":
                score = -self._log_losses(candidates, total_true, step)
            else:
                score = self._scores(total)[candidates]
            best = candidates[score == score.max()]
            if len(best) > 1 and self.metric != "log_loss":
                best = best[np.argmin(self._log_losses(best, total_true, step)), None]
            member = int(best[0])
            selected.append(member)
            scores.append(score.max())
            if self.metric != "log_loss":
                self._add(member, total)
            total_true += self.true[member]
        sign = -1.0 if self.metric == "log_loss" else 1.0
        return np.array(selected), sign * np.array(scores)

    def _add(self, member: int, total: Singles) -> None:
        """Add a member's probabilities to the sum; in `probs` they lie far apart."""
        for rows in row_blocks(len(self.y), len(total), block_bytes=BLOCK_BYTES):
            probs = as_numpy(self.members[member].probabilities(rows))
            total[:, rows] += probs.T.astype(np.float32)  # rounded as in `probs`

    def _scores(self, total: Singles) -> NDArray[np.float64]:
        """Accuracy or macro-F1 with each member added to the sum, shape (M,)."""
        n_members = len(self.true)
        is_open, hits_settled, predicted_settled = self._settle(total)
        hits = np.repeat(hits_settled[:, None], n_members, axis=1)
        predicted = np.repeat(predicted_settled[:, None], n_members, axis=1)
        for label, rows in self._segments(self.by_label[is_open[self.by_label]]):
            sums = self._sums(total, rows)
            if self.metric == "accuracy":
                hits[label] += _hits(sums, label)
            else:
                wins = _winners(sums)
                hits[label] += np.count_nonzero(wins[label], axis=0)
                predicted += np.count_nonzero(wins, axis=1)
        if self.metric == "accuracy":
            return np.asarray(hits.sum(axis=0) / len(self.y))
        sizes = predicted + self.labels[:, None]
        f1 = np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), np.nan)
        return np.asarray(np.nanmean(f1, axis=0))

    def _settle(self, total: Singles) -> tuple[NDArray[np.bool_], Counts, Counts]:
        """Which rows are open, and hits and predictions of each class among the others."""
        n_classes = len(self.labels)
        is_open = np.empty(len(self.y), dtype=bool)
        hits, predicted = np.zeros((2, n_classes), dtype=np.int64)
        for rows in row_blocks(len(self.y), n_classes, block_bytes=BLOCK_BYTES):
            sums, y = total[:, rows], self.y[rows]
            able = (
                sums + self.highest[:, rows] >= sums.max(axis=0) - self.slack
            )  # the leader always is
            is_open[rows] = able.view(np.uint8).sum(axis=0, dtype=np.uint32) > 1
            able &= ~is_open[rows]
            hits += np.bincount(y[able[y, np.arange(len(y))]], minlength=n_classes)
            predicted += np.count_nonzero(able, axis=1)
        return is_open, hits, predicted

    def _sums(self, total: Singles, rows: Counts) -> Singles:
        """The sum with each member added, for some rows, in a buffer that is used again."""
        shape = (len(total), len(rows), len(self.true))
        size = shape[0] * shape[1] * shape[2]
        if len(self.sums) < size:
            self.sums = np.empty(size, dtype=np.float32)
        sums = self.sums[:size].reshape(shape)
        for c, plane in enumerate(sums):
            np.take(self.probs[c], rows, axis=0, out=plane, mode="clip")  # "raise" would copy again
        sums += total[:, rows, None]
        return sums

    def _segments(self, rows: Counts) -> Iterator[tuple[int, Counts]]:
        """Blocks of rows with one label each, from rows that are sorted by label."""
        edges = np.searchsorted(self.y[rows], np.arange(len(self.labels) + 1)).tolist()
        width = len(self.labels) * len(self.true)
        for label, (start, stop) in enumerate(pairwise(edges)):
            for block in row_blocks(stop - start, width, block_bytes=BLOCK_BYTES):
                yield label, rows[start + block.start : start + block.stop]

    def _log_losses(
        self, candidates: Counts, total_true: Singles, step: int
    ) -> NDArray[np.float64]:
        """Log-loss with each candidate added, in nats."""
        losses = np.empty(len(candidates))
        for k, m in enumerate(candidates):
            means = (total_true + self.true[m]) / np.float32(step + 1)
            np.log(np.maximum(means, np.float32(LEAST_PROBABILITY), out=means), out=means)
            losses[k] = -means.mean(dtype=np.float64)
        return losses


def _hits(sums: Singles, label: int) -> Counts:
    """Rows of sums, (C, a, M), whose winner is their label; of equal sums the lowest class wins."""
    own = sums[label]
    right = own >= sums[label:].max(axis=0)
    if label:
        right &= own > sums[:label].max(axis=0)
    return np.asarray(np.count_nonzero(right, axis=0))


def _winners(sums: Singles) -> NDArray[np.bool_]:
    """One-hot winners of sums, (C, a, M); of equal sums the lowest class wins."""
    wins: NDArray[np.bool_] = sums == sums.max(axis=0)
    if np.count_nonzero(wins) > wins[0].size:
        wins[1:] &= ~np.logical_or.accumulate(wins, axis=0)[:-1]
    return wins
