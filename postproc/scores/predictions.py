"""Predictions: scores with their kind and the names of their classes and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_floating, sigmoid
from postproc.scores.binary import OneColumn, is_one_column
from postproc.scores.binary_labels import POSITIVE, name_classes
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order, row_blocks, row_cuts
from postproc.scores.checks import check_choice, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import LOG_LEAST, Kind, check_scores, log_probabilities, probabilities
from postproc.scores.names import COMMON, FOLDS, Names, check_text, check_unique, matching_order
from postproc.scores.sources import Picked, as_source

MissingClass = Literal["error", "zero"]
Task = Literal["multiclass", "binary", "multilabel"]

#: What to do about ids that repeat.
REPEATED = (
    "postproc pool makes one row of those that share an id; of a table, --id-column names another "
    "column of ids, or - for none"
)

#: The class of labels that are none of the classes.
UNKNOWN_CLASS = "(unknown)"


@dataclass(frozen=True)
class Predictions:
    """Validated scores, their kind, and the names of columns and rows where known.

    Attributes
    ----------
    scores : array of shape (n, C)
        Scores; often a memory map, or a source of rows that stay in their files.
    kind : {"logits", "probs", "votes"}
        What the scores are, decided once for all rows.
    classes : tuple of C str, optional
        Class names, one per column.
    ids : array of str, shape (n,), optional
        Row names.
    name : str
        Name in tables and messages.
    predicted : array of bool, shape (n_file,), optional
        Which rows of the file these are, if rows that were never predicted are left out.
    multilabel : bool
        Every column is a question of its own.
    column : OneColumn, optional
        How binary predictions came in one column, in which results go out, too. The scores have
        both columns here, the negative class first.
    positive : str, optional
        Name of the positive class of a binary task, which labels are compared with if the classes
        have no names.
    labels_only : bool
        The file holds predicted labels: probabilities are 0 and 1 and say nothing of confidence.
    id_heading : str
        Heading of the ids in the table that they come from, and in tables that are written.
    log_zero : float
        Logarithm that exact zeros, and lower probabilities, count as.
    """

    scores: Any
    kind: Kind
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = None
    name: str = "predictions"
    predicted: NDArray[np.bool_] | None = None
    multilabel: bool = False
    column: OneColumn | None = None
    positive: str | None = None
    labels_only: bool = False
    id_heading: str = "id"
    log_zero: float = LOG_LEAST

    @classmethod
    @takes_frames("scores")
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
            As `check_scores`; also if the number of class names or ids is not that of the columns
            or rows, or if one occurs more than once.
        """
        given, column = scores, None
        scores, found = check_scores(
            scores,
            kind=kind,
            name=name,
            multilabel=multilabel,
            narrow=narrow,
            map_blocks=map_blocks,
            sizes=sizes,
        )
        if not multilabel and is_one_column(given):
            column = OneColumn(flat=np.ndim(given) == 1)
        return cls.named(
            scores, found, classes=classes, ids=ids, name=name, multilabel=multilabel, column=column
        )

    @classmethod
    def named(
        cls,
        scores: Any,
        kind: Kind,
        *,
        classes: Sequence[str] | None = None,
        ids: Sequence[str] | NDArray[np.str_] | None = None,
        name: str = "predictions",
        repeated_ids: bool = False,
        multilabel: bool = False,
        column: OneColumn | None = None,
        positive: str | None = None,
    ) -> Predictions:
        """Put names to scores that have been validated; raises as `check`."""
        n_rows, n_classes = scores.shape
        if column is not None:
            classes = name_classes(classes, positive, column.heading, name)
            positive = positive if classes is None else classes[POSITIVE]
        elif positive is not None:
            _check_positive(positive, n_classes, classes, multilabel, name)
        names = None if classes is None else tuple(str(c) for c in classes)
        if names is not None:
            check_text(names, f"class names of {name}")
            _check_names(names, n_classes, f"class names of {name}", "column")
        row_names = None if ids is None else np.asarray(ids).astype(np.str_)
        if row_names is not None:
            if row_names.ndim != 1:
                fail(f"ids of {name}", "one-dimensional", f"shape {row_names.shape}")
            mend = "" if repeated_ids else REPEATED
            _check_names(row_names, n_rows, f"ids of {name}", "row", repeated_ids, mend)
        return cls(
            scores,
            kind,
            names,
            row_names,
            name,
            multilabel=multilabel,
            column=column,
            positive=positive,
        )

    @property
    def task(self) -> Task:
        """What the columns are: classes that exclude each other, two of them, or labels."""
        if self.multilabel:
            return "multilabel"
        return "binary" if self.n_classes == 2 else "multiclass"

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return int(self.scores.shape[0])

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.scores.shape[1])

    @property
    def heading(self) -> str | None:
        """Name of the one column that binary predictions came in, where it has one."""
        return None if self.column is None else self.column.heading

    @property
    def positive_column(self) -> int:
        """Which of two columns belongs to the positive class."""
        known = self.classes or ()
        for name in (self.positive, self.heading):
            if name in known:
                return known.index(name)
        return POSITIVE

    def as_given(self, probs: Array) -> Array:
        """Probabilities of both classes (n, 2) in one column where the scores came so."""
        if self.column is None:
            return probs
        at = self.positive_column
        return probs[:, at] if self.column.flat else probs[:, at : at + 1]

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """Float32 for scores of 32 bits or fewer, else float64 (integers too)."""
        xp, dtype = api.array_namespace(self.scores), self.scores.dtype
        narrow = xp.isdtype(dtype, "real floating") and xp.finfo(dtype).bits <= 32
        return np.dtype(np.float32 if narrow else np.float64)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Classes that the scores lack; their probability is 0."""
        picked = self.scores
        if self.classes is None or not isinstance(picked, Picked) or picked.columns is None:
            return ()
        return tuple(self.classes[column] for column in np.flatnonzero(picked.columns < 0))

    def align(
        self,
        *,
        classes: Sequence[str] | None = None,
        ids: NDArray[np.str_] | None = None,
        missing_class: MissingClass = "error",
        like: str = "the other models",
    ) -> Predictions:
        """Put columns in the order of `classes` and rows in the order of `ids`.

        Scores are picked as they are read; those in order stay as they are. Columns or rows
        without names are taken by position and get the names given.

        Parameters
        ----------
        classes : sequence of C str, optional
            Class names in the order wanted; None leaves the columns as they are.
        ids : array of str, shape (n,), optional
            Row names in the order wanted; None leaves the rows as they are.
        missing_class : {"error", "zero"}
            Whether the scores may lack some of the classes. With "zero", these have probability 0.
        like : str
            What messages call the predictions that have these names.

        Returns
        -------
        Predictions
            The same scores in that order.

        Raises
        ------
        ValueError
            If the names are others (the first few are named), or the number of unnamed columns or
            rows is another.

        Examples
        --------
        >>> p = Predictions.check([[0.75, 0.25]], classes=["cat", "dog"])
        >>> p.align(classes=["dog", "cat"]).scores[:]
        array([[0.25, 0.75]])
        """
        check_choice(missing_class, "missing_class", ("error", "zero"))
        columns = rows = None
        positive = self.positive
        if classes is None:
            classes = self.classes
        elif self.classes is not None:
            columns = matching_order(
                self.classes,
                classes,
                f"class names of {self.name}",
                like=like,
                mend='missing_class="zero" (--missing-class zero) gives them probability 0',
                may_lack=missing_class == "zero",
            )
        elif self.column is not None and len(classes) == 2:
            named = name_classes(classes, self.positive, self.column.heading, self.name)
            if named is not None:
                columns, positive = matching_order(named, classes, self.name), named[POSITIVE]
        elif len(classes) != self.n_classes:
            rule = f"an array of {len(classes)} classes like {like}"
            mend = "add class names (--classes), so that columns can be matched"
            fail(self.name, rule, f"{self.n_classes} classes without names", mend)
        if ids is None:
            ids = self.ids
        elif self.ids is not None:
            what = f"ids of {self.name}"
            rows = matching_order(self.ids, ids, what, like=like, mend=COMMON, others=FOLDS)
        elif len(ids) != self.n_rows:
            fail(self.name, f"an array of {len(ids)} rows like {like}", f"{self.n_rows} rows")
        scores = self.scores
        if columns is not None or rows is not None:
            fill = -np.inf if self.kind == "logits" else 0.0
            scores = Picked.of(scores, rows, columns, fill)
        names = None if classes is None else tuple(classes)
        return replace(self, scores=scores, classes=names, ids=ids, positive=positive)

    def with_unknown_class(self) -> Predictions:
        """Add a class of probability 0 at the end, for labels that are none of the classes.

        Examples
        --------
        >>> p = Predictions.check([[0.75, 0.25]], classes=["cat", "dog"])
        >>> p.with_unknown_class().scores[:]
        array([[0.75, 0.25, 0.  ]])
        """
        names = self.classes or tuple(map(str, range(self.n_classes)))
        wanted = (*names, UNKNOWN_CLASS)
        named = replace(self, classes=names, column=None)
        return named.align(classes=wanted, missing_class="zero")

    def streamed(self) -> Predictions:
        """The same predictions with scores that are read from their file block by block.

        Unlike a memory map they can be pickled, and a file that shrinks raises an error.
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

    def probabilities(self, rows: slice = slice(None)) -> Array:
        """Probabilities of the rows, in the library of the scores.

        Rows sum to 1, unless each column is a label of its own.
        """
        return self._computed(self._label_probs if self.multilabel else probabilities, rows, 0.0)

    def log_probabilities(self, rows: slice = slice(None)) -> Array:
        """Log-probabilities of the rows; finite, exact zeros count as `log_zero`."""
        self._check_exclusive()
        logs = self._computed(log_probabilities, rows, LOG_LEAST)
        if self.log_zero == LOG_LEAST:
            return logs
        return api.array_namespace(logs).clip(logs, self.log_zero, None)

    def winners(self, rows: slice = slice(None)) -> Array:
        """The class with the highest score in each row; the lowest of tied classes."""
        self._check_exclusive()
        block = self._computed(lambda scores, kind: as_floating(scores), rows, -math.inf)
        return api.array_namespace(block).argmax(block, axis=1)

    def _computed(
        self, function: Callable[[Array, Kind], Array], rows: slice, unknown: float
    ) -> Array:
        """Apply a function before columns move, so that its sums do not depend on their order."""
        scores = self.scores
        if isinstance(scores, Picked):
            return scores.place(function(scores.own(rows), self.kind), unknown)
        return function(scores[rows, :], self.kind)

    def _check_exclusive(self) -> None:
        """Refuse labels that do not exclude each other, where a row has one class."""
        if self.multilabel:
            rule = "predictions of classes that exclude each other"
            fail(self.name, rule, "multi-label predictions")

    def _label_probs(self, scores: Array, kind: Kind) -> Array:
        """Probabilities of labels (k, m), as they are or by the logistic function."""
        x = as_floating(scores)
        return sigmoid(x) if kind == "logits" else x

    def class_name(self, column: int) -> str:
        """Name of a class, or its number where it has none."""
        return self.classes[column] if self.classes is not None else str(column)


def _check_positive(
    positive: str, n_classes: int, classes: Sequence[str] | None, multilabel: bool, name: str
) -> None:
    """Check that a positive class is one of two."""
    if multilabel or n_classes != 2:
        got = f"{n_classes} {'labels' if multilabel else 'classes'} in {name}"
        fail("positive", "given for binary predictions alone", got)
    if classes is not None and positive not in classes:
        fail("positive", f"one of the classes {', '.join(classes)}", repr(positive))


def _check_names(
    names: Names, wanted: int, what: str, of: str, repeated: bool = False, mend: str = ""
) -> None:
    if len(names) != wanted:
        fail(what, f"one per {of} ({wanted})", f"{len(names)} names")
    if not repeated:
        check_unique(np.asarray(names).tolist(), what, mend)
