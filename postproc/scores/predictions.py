"""Predictions: scores with all that belongs to them, as they come from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order, row_blocks, row_cuts
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind, check_scores, log_probabilities, probabilities
from postproc.scores.sources import as_source


@dataclass(frozen=True)
class Predictions:
    """Validated scores, their kind, and the names of columns and rows where known.

    Attributes
    ----------
    scores : array of shape (n, C)
        Scores; often a memory map, or a source of rows that stay in their files.
    kind : {"logits", "probs"}
        What the scores are, decided once for all of them.
    classes : tuple of C str, optional
        Class names, one a column.
    ids : array of str, shape (n,), optional
        Row names.
    name : str
        What tables and messages call them.
    """

    scores: Any
    kind: Kind
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = None
    name: str = "predictions"

    @classmethod
    def check(
        cls,
        scores: Any,
        *,
        kind: Kind | None = None,
        classes: Sequence[str] | None = None,
        ids: Sequence[str] | NDArray[np.str_] | None = None,
        name: str = "predictions",
        multilabel: bool = False,
        narrow: bool = False,
        map_blocks: MapBlocks = in_order,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> Predictions:
        """Validate scores, names and ids; errors name the row or column at fault.

        The parameters are those of `check_scores`.

        Raises
        ------
        TypeError, ValueError
            As `check_scores`; also if there are more or fewer names than columns, or ids than
            rows, or one occurs twice.
        """
        scores, found = check_scores(
            scores,
            kind=kind,
            name=name,
            multilabel=multilabel,
            narrow=narrow,
            map_blocks=map_blocks,
            sizes=sizes,
        )
        n_rows, n_classes = scores.shape
        names = None if classes is None else tuple(str(c) for c in classes)
        if names is not None:
            _check_unique(names, n_classes, f"class names of {name}", "column")
        row_names = None if ids is None else np.asarray(ids).astype(np.str_)
        if row_names is not None:
            if row_names.ndim != 1:
                fail(f"ids of {name}", "one-dimensional", f"shape {row_names.shape}")
            _check_unique(row_names, n_rows, f"ids of {name}", "row")
        return cls(scores, found, names, row_names, name)

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return int(self.scores.shape[0])

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.scores.shape[1])

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """Float32 for scores of 32 bits or fewer, else float64 (integers too)."""
        dtype = np.dtype(np.asarray(self.scores[:0]).dtype)
        narrow = dtype.kind == "f" and dtype.itemsize <= 4
        return np.dtype(np.float32 if narrow else np.float64)

    def streamed(self) -> Predictions:
        """These predictions with scores that are read from their file block by block.

        Unlike a memory map such scores can be pickled, and a file that shrinks is an error.
        """
        return replace(self, scores=as_source(self.scores))

    def __getstate__(self) -> dict[str, Any]:  # a memory map is pickled by path
        return {**self.__dict__, "scores": as_source(self.scores)}

    def cuts(self, sizes: Sizes = DEFAULT_SIZES) -> tuple[slice, ...]:
        """Row slices of bounded size that cover all rows."""
        return row_cuts(self.n_rows, self.n_classes, sizes)

    def blocks(self) -> Iterator[slice]:
        """Row slices of bounded size that cover all rows."""
        return row_blocks(self.n_rows, self.n_classes)

    def probabilities(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Probabilities of the rows, each summing to 1."""
        return np.asarray(probabilities(self.scores[rows], self.kind))

    def log_probabilities(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Log-probabilities of the rows; finite, exact zeros count as 1.2e-38."""
        return np.asarray(log_probabilities(self.scores[rows], self.kind))

    def class_name(self, column: int) -> str:
        """Name of a class, or its number where it has none."""
        return self.classes[column] if self.classes is not None else str(column)


def _check_unique(names: Sequence[str] | NDArray[np.str_], wanted: int, what: str, of: str) -> None:
    if len(names) != wanted:
        fail(what, f"one a {of} ({wanted})", f"{len(names)} names")
    values, first, counts = np.unique(np.asarray(names), return_index=True, return_counts=True)
    if len(values) != wanted:
        twice = values[counts > 1][np.argmin(first[counts > 1])]
        fail(what, "different from each other", f"{str(twice)!r} twice or more")
