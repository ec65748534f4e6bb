"""The one place where DataFrames, Series and labels by name become arrays, and results go back."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from numbers import Real
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

from postproc.scores.binary_labels import binary_labels
from postproc.scores.codes import coded
from postproc.scores.frames.frame import Frame
from postproc.scores.frames.labels import (
    Ids,
    as_numbers,
    holds_lists_of_names,
    is_text,
    match_rows,
    read_labels,
    read_prior,
)
from postproc.scores.frames.native import (
    as_name,
    check_default,
    is_native,
    open_native,
    series_like,
)
from postproc.scores.names import some

#: Types of arguments without names.
PLAIN = frozenset({bool, int, float, str, type(None)})

P = ParamSpec("P")
R = TypeVar("R")

#: What a function returns: scores (n, C) or a mapping of such, one value a row, or class numbers.
Returns = Literal["scores", "rows", "classes"]


def takes_frames(
    *scores: str,
    labels: Mapping[str, str] | None = None,
    priors: Sequence[str] = (),
    returns: Returns | None = None,
    stacked: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take DataFrames, and give back what it was given.

    Scores are arguments with one table, or a sequence or mapping of several. Their columns are
    matched by name, those of a method to the names that its object was fitted to, otherwise to
    `classes` or to the first table; the rows of each argument by id or index. Labels stand with
    the name of the argument whose rows they belong to. Rows of `stacked` tables follow each other,
    and may share ids. The function itself sees arrays only, and calls without tables or names reach
    it unchanged.
    """
    belongs = dict(labels or {})

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        watched = (*scores, *belongs, *priors)

        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if all(map(_is_plain, args)) and all(map(_is_plain, kwargs.values())):
                return function(*args, **kwargs)  # many calls within loops are of this kind
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)  # which says what is missing
            given = bound.arguments
            for name in scores:
                given |= {name: _listed(given[name])} if name in given else {}
            if not any(_concerns(given.get(name)) for name in watched):
                return function(*bound.args, **bound.kwargs)
            call = _Call(given, function.__name__ == "fit", stacked)
            call.read_scores(scores)
            call.read_labels(belongs, tables=scores)
            call.read_priors(priors)
            for option in ("classes", "ids"):
                if option in signature.parameters and given.get(option) is None:
                    given[option] = getattr(call, option)
            result = function(*bound.args, **bound.kwargs)
            return call.like_given(result, returns, function.__name__)  # type: ignore[no-any-return]

        return wrapper

    return decorate


@dataclass
class _Call:
    """The arguments of one call, which are replaced by arrays."""

    given: dict[str, Any]
    is_fit: bool
    stacked: bool
    classes: Sequence[str] | None = None
    #: Row names of the first argument of scores, and of each.
    ids: Ids = None
    ids_of: dict[str, Ids] = field(default_factory=dict)
    frames_of: dict[str, list[Frame]] = field(default_factory=dict)
    #: The first table of the first argument of scores, which results are made like.
    model: Frame | None = None
    n_classes: int = 0

    def read_scores(self, names: Sequence[str]) -> None:
        """Replace DataFrames of scores by arrays whose columns and rows correspond."""
        read = {
            name: _read(self.given[name], name, self.stacked)
            for name in names
            if name in self.given
        }
        leaves = {name: list(_leaves(value)) for name, value in read.items()}
        everything = [leaf for several in leaves.values() for leaf in several]
        self.classes = self._known_classes(everything)
        tables = any(isinstance(leaf, Frame) for leaf in everything)
        for name, value in read.items():
            ids = next((leaf.ids for leaf in leaves[name] if _ids(leaf) is not None), None)
            if self.stacked:
                ids, self.ids = None, _joined(leaves[name])
            self.ids_of[name] = ids
            if not tables:
                continue
            aligned = _each(value, self._aligner(ids))
            frames = [leaf for leaf in _leaves(aligned) if isinstance(leaf, Frame)]
            self.frames_of[name] = frames
            if name == names[0] and frames:
                self.model = frames[0]
            self.given[name] = _each(aligned, _plain)
        if not self.stacked:
            self.ids = next(iter(self.ids_of.values()), None)
        self.n_classes = next((_width(value) for value in read.values()), 0)

    def read_labels(self, belongs: Mapping[str, str], tables: Sequence[str]) -> None:
        """Replace labels by class numbers, in the order of the rows that they belong to.

        Only arguments among `tables` hold scores.
        """
        for name, scores in belongs.items():
            value = self.given.get(name)
            if value is None:
                continue
            wanted = self.ids_of.get(scores)
            if is_native(value):
                found = read_labels(value, name, self.classes)
                value = match_rows(found, wanted, name)
                if wanted is None and found.ids is not None:
                    self.ids_of[scores] = found.ids
                    for frame in self.frames_of.get(scores, ()):
                        check_default(frame.native, found.ids, frame.name)
            is_one = scores in tables and self._is_one_column(scores)
            if self.classes is None and is_text(value) and is_one:
                first = next(iter(self.frames_of.get(scores, ())), None)
                heading = as_name(first.columns[0]) if first is not None and first.columns else None
                value = binary_labels(np.asarray(value), positive=None, heading=heading, name=name)
            self.given[name] = as_numbers(value, self.classes, name)

    def _is_one_column(self, name: str) -> bool:
        """Whether an argument holds binary scores in one column."""
        first: Any = next(_leaves(self.given.get(name)), ())
        return len(shape := np.shape(first)) == 1 or shape[1:] == (1,)

    def read_priors(self, names: Sequence[str]) -> None:
        """Replace priors by class name by arrays in the order of the classes."""
        for name in names:
            if name in self.given:
                n_classes = self.given.get("n_classes", self.n_classes)
                self.given[name] = read_prior(self.given[name], self.classes, n_classes, name)

    def like_given(self, result: Any, returns: Returns | None, name: str) -> Any:
        """A result as the DataFrames that were given."""
        model = self.model
        if model is None or returns is None:
            return result
        if isinstance(result, dict):
            return {key: self.like_given(value, returns, name) for key, value in result.items()}
        values = np.asarray(result)
        if values.ndim == 3:
            return result
        if returns == "scores" or values.ndim == 2:
            return model.with_scores(values)
        if returns == "classes":
            return model.with_classes(values)
        return series_like(model.native, values, name)

    def _known_classes(self, leaves: Sequence[Any]) -> Sequence[str] | None:
        """Those of the fitted object, else those given, else those of the first named table."""
        owner = None if self.is_fit else self.given.get("self")
        fitted = getattr(owner, "class_names_", None)
        known = fitted if fitted is not None else self.given.get("classes")
        if known is not None:
            return tuple(map(str, known))
        named = (getattr(leaf, "classes", None) for leaf in leaves)
        found = next((names for names in named if names is not None), None)
        if found is not None and hasattr(owner, "class_names_"):
            msg = (
                f"{type(owner).__name__} was fitted without class names, so it takes the columns "
                f"of the table for its classes in their order: {some(found)}"
            )
            warnings.warn(coded("by-position", msg), UserWarning, stacklevel=4)
        return found

    def _aligner(self, ids: Ids) -> Callable[[Any], Any]:
        def align(leaf: Any) -> Any:
            return leaf.align(classes=self.classes, ids=ids) if hasattr(leaf, "align") else leaf

        return align


def _is_plain(value: Any) -> bool:
    """Whether an argument can hold no names at all: numbers, an option, nothing."""
    kind = type(value)
    return kind in PLAIN or (kind is np.ndarray and value.dtype.kind in "biuf")


def _concerns(value: Any) -> bool:
    """Whether an argument is or holds a table in memory, or labels or shares by name."""
    if is_native(value) or is_text(value) or holds_lists_of_names(value):
        return True
    if isinstance(value, Mapping):
        entries = list(value.values())
        return any(map(is_native, entries)) or all(isinstance(entry, Real) for entry in entries)
    return isinstance(value, list | tuple) and any(map(is_native, value))


def _listed(value: Any) -> Any:
    """A list of what an iterator or the like holds; arrays, tables and members as they are."""
    is_whole = isinstance(value, Sequence | Mapping) or hasattr(value, "shape") or is_native(value)
    return list(value) if isinstance(value, Iterable) and not is_whole else value


def _read(value: Any, name: str, repeated_ids: bool) -> Any:
    """The same argument with DataFrames read."""
    if is_native(value):
        opened = open_native(value, name)
        if isinstance(opened, np.ndarray):
            return opened
        return Frame.read(opened, name, repeated_ids=repeated_ids)
    if isinstance(value, Mapping):
        return {key: _read(entry, str(key), repeated_ids) for key, entry in value.items()}
    if isinstance(value, list | tuple) and any(map(is_native, value)):
        return [_read(entry, f"{name}[{at}]", repeated_ids) for at, entry in enumerate(value)]
    return value


def _joined(leaves: Sequence[Any]) -> Ids:
    """Ids of tables whose rows follow each other, where all have some."""
    ids = [_ids(leaf) for leaf in leaves]
    return None if any(each is None for each in ids) else np.concatenate(ids)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    else:
        yield value


def _each(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: function(entry) for key, entry in value.items()}
    return [function(entry) for entry in value] if isinstance(value, list) else function(value)


def _width(value: Any) -> int:
    """Number of columns of scores, an array-like or a Frame; 0 of what has none."""
    first = next(_leaves(value), None)
    if isinstance(first, list | tuple):  # a row
        return len(first)
    scores: Any = getattr(first, "scores", first)
    shape = np.shape(scores)
    return shape[-1] if shape else 0


def _ids(leaf: Any) -> Any:
    return getattr(leaf, "ids", None)


def _plain(leaf: Any) -> Any:
    return leaf.scores if isinstance(leaf, Frame) else leaf
