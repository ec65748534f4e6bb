"""Targets that differ otherwise than by class frequencies: what `auto` does to them.

    python -m benchmarks.gains.misfit [--worlds 100] [--seed 1000]

A world is 2 to 40 Gaussian or heavy-tailed classes, a classifier trained on few rows, and 200 to
2,000 rows to fit `auto` to. Its targets of 200 to 2,000 rows have label shift, constants added to
the logits, shifted or noisier inputs, or two of these. The bounds of `postproc.shift.misfit` were
chosen on 150 other worlds of this making.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ensemble import AutoPostprocessor
from postproc.shift.misfit import LabelShiftFit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """Classes, the prior of the fit rows, and a classifier."""

    prior: Floats
    draw: Callable[[Ints, np.random.Generator], Floats]  # inputs of rows of given classes
    model: Any
    n_inputs: int

    @classmethod
    def make(cls, rng: np.random.Generator) -> World:
        """A random world."""
        n_classes = int(rng.choice([2, 3, 4, 6, 10, 20, 40]))
        n_inputs = int(rng.choice([n_classes, 2 * n_classes, 30]))
        centres = rng.standard_normal((n_classes, n_inputs))
        centres *= rng.uniform(1.2, 3.8) / np.linalg.norm(centres, axis=1, keepdims=True)
        spread = np.exp(0.3 * rng.standard_normal((n_classes, 1)))
        heavy = rng.random() < 0.4
        prior = rng.dirichlet(np.full(n_classes, rng.choice([1.0, 5.0, 50.0])))
        prior = (prior + 0.2 / n_classes) / 1.2

        def draw(y: Ints, rng: np.random.Generator) -> Floats:
            noise = rng.standard_normal((len(y), n_inputs))
            if heavy:
                noise *= 0.8 * np.sqrt(4 / rng.chisquare(4, size=(len(y), 1)))
            return np.asarray(centres[y] + spread[y] * noise)

        n_train = int(rng.choice([10, 30, 100])) * n_classes
        own = rng.dirichlet(20 * prior) if rng.random() < 0.5 else prior
        y = rng.choice(n_classes, n_train, p=own)
        y[:n_classes] = np.arange(n_classes)
        return cls(prior, draw, _classifier(rng).fit(draw(y, rng), y), n_inputs)

    def logits(self, x: Floats) -> Floats:
        """What the classifier makes of inputs."""
        return np.maximum(self.model.predict_log_proba(x), -40.0)

    def targets(self, rng: np.random.Generator) -> Iterator[tuple[str, Floats, Ints]]:
        """Kind, logits and classes of each target."""
        n_classes, n_inputs = len(self.prior), self.n_inputs
        n_rows = int(rng.choice([200, 500, 2000]))

        def target(
            name: str, prior: Floats, logit: float = 0.0, moved: float = 0.0, noise: float = 0.0
        ) -> tuple[str, Floats, Ints]:
            y = rng.choice(n_classes, n_rows, p=prior)
            x = self.draw(y, rng)
            towards = rng.standard_normal(n_inputs)
            towards *= moved * np.sqrt(n_inputs) / np.linalg.norm(towards)
            z = self.logits(x + towards + noise * rng.standard_normal(x.shape))
            return name, z + logit * rng.standard_normal(n_classes), y

        same, tail = self.prior, rng.permutation(50.0 ** -np.linspace(0, 1, n_classes))

        def other() -> Floats:
            return rng.dirichlet(np.full(n_classes, 0.5))

        yield target("nothing", same)
        yield target("label shift, Dirichlet(0.5)", other())
        yield target("label shift, Dirichlet(2)", rng.dirichlet(np.full(n_classes, 2.0)))
        yield target("label shift, long tail of 50", tail / tail.sum())
        for size in (0.5, 1.5, 3.0):
            yield target(f"logits moved by constants of {size}", same, logit=size)
        for size in (0.2, 0.5, 0.8):
            yield target(f"inputs moved by {size}", same, moved=size)
        yield target("noise of 0.7 in inputs", same, noise=0.7)
        yield target("label shift, and logits moved by 0.2", other(), logit=0.2)
        yield target("label shift, and logits moved by 0.4", other(), logit=0.4)
        yield target("label shift, and inputs moved by 0.2", other(), moved=0.2)
        yield target("label shift, and noise of 0.3", other(), noise=0.3)


def _classifier(rng: np.random.Generator) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier

    made = [
        LogisticRegression(C=rng.choice([0.1, 1.0, 10.0]), max_iter=200),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2),
        GaussianNB(var_smoothing=1e-3),
        MLPClassifier((32,), max_iter=60, random_state=0),
    ]
    return made[rng.integers(4)]


def measure(seed: int, found: dict[str, list[tuple[bool, float, float, bool]]]) -> None:
    """Add, by kind of target: adapted unguarded, gains in points unguarded and guarded, refused."""
    rng = np.random.default_rng(seed)
    world = World.make(rng)
    n_classes = len(world.prior)
    y = rng.choice(n_classes, max(int(rng.choice([200, 600, 2000])), 8 * n_classes), p=world.prior)
    auto = AutoPostprocessor().fit([world.logits(world.draw(y, rng))], y)
    for name, z, truth in world.targets(rng):

        def gain(z: Floats, truth: Ints) -> tuple[str, float]:
            adapted = auto.adapt_to([z])
            right = adapted.predict_proba([z]).argmax(axis=1) == truth
            points = 100 * (right.mean() - (z.argmax(axis=1) == truth).mean())
            return adapted.decision_.action, float(points)

        with patch.object(LabelShiftFit, "is_refuted", new=False):
            action, unguarded = gain(z, truth)
        now, guarded = gain(z, truth)
        found[name].append((action == "adapt", unguarded, guarded, now != action))


def table(found: dict[str, list[tuple[bool, float, float, bool]]]) -> str:
    """The means by kind of target."""
    columns = ("adapted without the guard, %", "refused, %", "gain without", "worst")
    columns = ("target", *columns, "gain with the guard", "worst")
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for name, cells in found.items():
        adapted, unguarded, guarded, refused = (np.array(each) for each in zip(*cells, strict=True))
        of_those = 100 * refused.sum() / max(adapted.sum(), 1)
        lines.append(
            f"| {name} | {100 * adapted.mean():.0f} | {of_those:.0f} | {unguarded.mean():+.2f} "
            f"| {unguarded.min():+.1f} | {guarded.mean():+.2f} | {guarded.min():+.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gains.misfit", description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000, help="number of the first world")
    given = parser.parse_args()
    found: dict[str, list[tuple[bool, float, float, bool]]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(given.seed, given.seed + given.worlds):
            measure(seed, found)
    print(table(found))


if __name__ == "__main__":
    main()
