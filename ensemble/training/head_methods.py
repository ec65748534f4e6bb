"""Training methods of heads on saved scores: which are used, and whether they gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.choice import choose
from postproc.evaluation.influence import spread_of
from postproc.scores.checks import check_number, fail, fail_type

Floats = NDArray[np.float64]

#: What users give: methods by name with their strengths, "auto", or None.
TrainingChoice = Mapping[str, float] | Literal["auto"] | None


#: Fewer rows leave none to train on and to judge by.
LEAST_ROWS = 10


@dataclass(frozen=True)
class HeadMethods:
    """Methods by which a head is trained, each by its strength; without any, plainly."""

    flooding: float | None = None  # the level b
    fgm: float | None = None  # the length ε of the step against the inputs of a row
    child_free: float | None = None  # the share p of gradients, drawn anew in each step
    child_driven: float | None = None  # the share p of parameters, fixed before the first step
    label_denoising: float | None = None  # the weight of its term

    def __str__(self) -> str:
        """As it is given on the command line."""
        return ",".join(f"{name}={value:g}" for name, value in self.to_dict().items()) or "none"

    def to_dict(self) -> dict[str, float]:
        """The methods that are used."""
        return {name: value for name, value in asdict(self).items() if value is not None}


#: No method.
PLAIN = HeadMethods()

#: What cross-validation chooses from beside plain training, gentle methods first.
GRID = (
    HeadMethods(fgm=0.1),
    HeadMethods(flooding=0.05),
    HeadMethods(child_free=0.3),
    HeadMethods(child_driven=0.3),
    HeadMethods(label_denoising=1.0),
    HeadMethods(flooding=0.2),
    HeadMethods(fgm=0.5),
)


def check_training(training: Any) -> tuple[HeadMethods, ...]:
    """The methods that a user asks for; the whole grid for "auto"."""
    if training == "auto":
        return GRID
    names = ", ".join(field.name for field in fields(HeadMethods))
    if training is None:
        return (PLAIN,)
    if not isinstance(training, Mapping):
        fail_type("training", f'None, "auto" or a mapping of {names} to numbers', repr(training))
    for name in training:
        if name not in names.split(", "):
            fail("training", f"of the methods {names}", repr(name))
    values = {
        name: check_number(
            value,
            f"training[{name!r}]",
            low=0.0,
            high=1.0 if name.startswith("child") else math.inf,
            open_low=name != "flooding",
        )
        for name, value in training.items()
    }
    if {"child_free", "child_driven"} <= values.keys():
        fail("training", "one way of child tuning", "child_free and child_driven")
    return (HeadMethods(**values),)


@dataclass(frozen=True)
class Rehearsed:
    """What cross-validation says of training methods."""

    chosen: HeadMethods
    gain: Floats  # of the whole procedure, as `gain_of` has it


def choose_methods(
    plain: Floats, tried: Mapping[HeadMethods, Floats], folds: Sequence[NDArray[np.bool_]]
) -> Rehearsed:
    """Choose by the out-of-fold log-losses (n,) of each row, by the rule of all choices here.

    The gain is that of the rule on each fold, chosen without it; it has to lie above zero.
    """
    options = list(tried)
    gains = np.stack([plain - losses for losses in tried.values()])
    nested = np.zeros(len(plain))
    for held in folds:
        found = choose(gains[:, ~held])
        nested[held] = 0.0 if found is None else gains[found, held]
    gain, found = gain_of(nested), choose(gains)
    kept = PLAIN if found is None or not gain[1] > 0 else options[found]
    return Rehearsed(kept, gain)


def gain_of(differences: Floats) -> Floats:
    """Mean of what each row gains in log-loss, in nats, and its 95 % interval: (3,)."""
    mean = float(differences.mean())
    return np.array([mean, *spread_of(mean, differences - mean).estimate().interval])
