"""CAN on run directories as the blog and the paper applied it: fixed settings, or tuned on `val`.

The prior is the class distribution of the training labels, or of the validation labels where there
are none; the target is the whole test split. The reference are confident rows of the target, as
the blog has it, or of the validation split, as the paper has it. Tuned settings are those with the
most right rows on the validation split, adjusted against its own confident rows; ties go to the
simpler setting, and leaving the rows alone is one. No threshold of significance is applied: that
is what was published, not what `postproc tune can` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.can.model import CANModel, Moments, is_ambiguous
from postproc.can.options import PRESETS, CANOptions
from postproc.can.tuning import GRIDS
from postproc.evaluation.paired import Comparison, compare
from postproc.files import RunDirectory, load_labels
from postproc.scores.kinds import probabilities
from postproc.scores.prior import class_prior

Probs = NDArray[Any]
Ints = NDArray[np.int64]

#: Exponents, depths and thresholds of the authors' search.
SEARCH = {name: GRIDS["paper-code"][name] for name in ("alpha", "iterations", "threshold")}


@dataclass(frozen=True)
class Setting:
    """One way of running CAN that was published."""

    preset: str
    reference: str
    is_tuned: bool

    @property
    def name(self) -> str:
        """What tables call it."""
        how = "tuned" if self.is_tuned else "fixed"
        return f"{self.preset}, {self.reference} reference, {how}"


#: The blog's own way first, then the paper's, then what they share out between them.
SETTINGS = tuple(
    Setting(preset, reference, is_tuned)
    for preset, references in (("blog", ("target", "val")), ("paper-code", ("val", "target")))
    for reference in references
    for is_tuned in (False, True)
)


@dataclass(frozen=True)
class Member:
    """One classifier of one task: probabilities and labels of both splits, and the prior."""

    task: str
    model: str
    val: Probs
    val_labels: Ints
    test: Probs
    labels: Ints
    prior: NDArray[np.float64]
    prior_source: str

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.test.shape[1])

    @property
    def accuracy(self) -> float:
        """Accuracy on the test split."""
        return float((self.test.argmax(axis=1) == self.labels).mean())

    @property
    def prior_distance(self) -> float:
        """Total variation between the prior and the classes of the test labels."""
        shares = np.bincount(self.labels, minlength=self.n_classes) / len(self.labels)
        return float(np.abs(shares - self.prior).sum() / 2)

    @property
    def doubt(self) -> float:
        """Accuracy less mean confidence on the validation split."""
        right = self.val.argmax(axis=1) == self.val_labels
        return float(right.mean() - self.val.max(axis=1).mean())


@dataclass(frozen=True)
class Result:
    """One setting on one member: what it did to all rows, and to the ambiguous ones alone.

    Options are None where tuning chose to leave the rows alone, and `ambiguous` is None where no
    row is ambiguous. `is_warned` says whether the library warns that the target's mean prediction
    lies far from the prior, and `prior_distance` is the total variation between the prior and the
    test labels, which nobody knows beforehand. `doubt` is by how much the validation rows' accuracy
    exceeds their mean confidence: the classifier is under-confident where it is large.
    """

    task: str
    model: str
    classes: int
    setting: str
    options: CANOptions | None
    before: float
    everything: Comparison
    before_ambiguous: float
    ambiguous: Comparison | None
    n_confident: int
    is_warned: bool
    prior_distance: float
    doubt: float


def members(paths: Sequence[str | Path], models: Sequence[str] | None = None) -> Iterator[Member]:
    """Members of run directories.

    Raises
    ------
    FileNotFoundError, ValueError
        If a folder is no run directory, or lacks labels of `val` or `test`.
    """
    for path in paths:
        run = RunDirectory.open(path)
        val_labels, labels = run.labels("val"), run.labels("test")
        if val_labels is None or labels is None:
            raise ValueError(f"{path}: must hold labels.val.npy and labels.test.npy, got no labels")
        chosen = [name for name in run.models if models is None or name in models]
        for val, test in zip(
            run.predictions("val", chosen), run.predictions("test", chosen), strict=True
        ):
            train = Path(path) / "labels.train.npy"
            source = "train" if train.is_file() else "val"
            known = val_labels
            if source == "train":
                known = load_labels(train, n_classes=test.n_classes, classes=run.classes)
            yield Member(
                Path(path).resolve().name,
                test.name,
                np.asarray(probabilities(val.scores, val.kind)),
                val_labels,
                np.asarray(probabilities(test.scores, test.kind)),
                labels,
                class_prior(known, n_classes=test.n_classes, kind="labels"),
                source,
            )


def apply(member: Member, setting: Setting, options: CANOptions | None) -> Result:
    """Run CAN with these options, or with none, on the test split of a member."""
    before = member.test.argmax(axis=1)
    after, rows = before, np.zeros(len(before), dtype=np.bool_)
    n_confident, is_warned = 0, False
    if options is not None:
        options = options.check(member.n_classes)
        reference = member.test if setting.reference == "target" else member.val
        model = CANModel.fit([reference], member.prior, options)
        adjusted, ambiguous = model.adjust(member.test)
        after, rows, n_confident = adjusted.argmax(axis=1), ambiguous, model.n_confident
        moments = Moments(member.n_classes)
        moments.add(member.test)
        is_warned = model.mismatch(moments.mean, moments.standard_error) is not None
    part = compare(before[rows], after[rows], member.labels[rows]) if rows.any() else None
    return Result(
        member.task,
        member.model,
        member.n_classes,
        setting.name,
        options,
        member.accuracy,
        compare(before, after, member.labels),
        float((before == member.labels)[rows].mean()) if rows.any() else float("nan"),
        part,
        n_confident,
        is_warned,
        member.prior_distance,
        member.doubt,
    )


def tune(
    member: Member, preset: str, search: Mapping[str, Sequence[Any]] = SEARCH
) -> CANOptions | None:
    """Options with the most right validation rows, None for leaving the rows alone."""
    base = PRESETS[preset].check(member.n_classes)
    depths = sorted(search["iterations"])
    before = member.val.argmax(axis=1) == member.val_labels
    best, most = None, int(before.sum())
    # The simplest settings first, so that a tie stays with the simpler one.
    found: dict[tuple[int, float, float], int] = {}
    for threshold in search["threshold"]:
        rows = is_ambiguous(member.val, replace(base, threshold=threshold))
        if not rows.any():
            continue
        for alpha in search["alpha"]:
            options = replace(base, alpha=alpha, threshold=threshold, iterations=depths[-1])
            model = CANModel.fit([member.val], member.prior, options)
            adjusted = model.reference.adjust(member.val[rows], all_depths=True)
            right = (adjusted.argmax(axis=2) == member.val_labels[rows]).sum(axis=1)
            for depth in depths:
                found[depth, threshold, alpha] = int(right[depth - 1] + before[~rows].sum())
    for depth, threshold, alpha in sorted(found, key=lambda k: (k[0], abs(np.log(k[2])), -k[1])):
        if found[depth, threshold, alpha] > most:
            most = found[depth, threshold, alpha]
            best = replace(base, alpha=alpha, threshold=threshold, iterations=depth)
    return best


def measure(
    paths: Sequence[str | Path],
    *,
    models: Sequence[str] | None = None,
    settings: Sequence[Setting] = SETTINGS,
    search: Mapping[str, Sequence[Any]] = SEARCH,
    say: Callable[[str], None] = lambda line: None,
) -> list[Result]:
    """Every setting on every member.

    Parameters
    ----------
    paths : sequence of path
        Run directories.
    models : sequence of str, optional
        Some members only.
    settings : sequence of Setting
        What to run.
    search : mapping
        Values of `alpha`, `iterations` and `threshold` to try where a setting is tuned.
    say : callable
        Takes a line for each member that is done.
    """
    results = []
    for member in members(paths, models):
        tuned: dict[str, CANOptions | None] = {}
        for setting in settings:
            options: CANOptions | None = PRESETS[setting.preset]
            if setting.is_tuned:
                if setting.preset not in tuned:
                    tuned[setting.preset] = tune(member, setting.preset, search)
                options = tuned[setting.preset]
            results.append(apply(member, setting, options))
        say(f"{member.task}/{member.model}: prior from the {member.prior_source} labels")
    return results
