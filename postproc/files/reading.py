"""How files are read: the options that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

from postproc.scores.tables.choice import ColumnChoice


class ReadingWarning(UserWarning):
    """Something was dropped, renormalized or skipped as a file was read."""


class UnusedLabelsWarning(ReadingWarning):
    """Labels are of rows without predictions: those of a table of more, or of a missing file."""


@dataclass(frozen=True)
class Reading(ColumnChoice):
    """Options of reading predictions and labels.

    Parameters
    ----------
    columns : tuple of str
        The columns of a table that hold scores: names, or patterns with `*` and `?`. Without them
        every column that may hold anything else is an error.
    id_column, label_column : str, optional
        The columns of a table that hold row names and labels: a name or a pattern of one. A label
        column is never read as a score. The `id_column` "-" says that no column holds ids.
    key : str, optional
        The array to read from an `.npz`, `.safetensors` or `.pt` file.
    kind : {"logits", "probs", "votes"}, optional
        The declared kind; without it the key of the file or the values decide.
    classes : tuple of str
        The names of all classes, where they are known.
    multilabel : bool
        Columns do not exclude each other.
    positive : str, optional
        The positive class of a binary task: the one that a single column scores.
    skip_unpredicted : bool
        Leave out rows that are all NaN or all zero, which are an error otherwise.
    repeated_ids : bool
        Rows may share an id, as those that are pooled do; an error otherwise.
    predicted_labels : bool
        A file may hold predicted labels in place of scores: one column of names or whole numbers.
    any_scale : bool
        Only the order of scores matters: one of the `columns` may hold numbers on any scale.
    long : bool
        A table has a line for each row and class; `label_column` names the column of classes.

    Examples
    --------
    >>> Reading(columns=("prob_*",), label_column="truth").columns
    ('prob_*',)
    """

    key: str | None = None
    multilabel: bool = False
    positive: str | None = None
    skip_unpredicted: bool = False
    repeated_ids: bool = False
    predicted_labels: bool = False
    any_scale: bool = False
    long: bool = False
