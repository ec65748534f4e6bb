r"""A simulation of CAN: class counts, entropies, α and d, with the right prior and a wrong one.

Generative model. C classes; π is the target's class distribution, either uniform (U) or skewed (S),

    S_j ∝ 10^{-j / (C - 1)},   j = 0..C-1.

A row has a class y, a concentration c and evidence ℓ, a distribution over the classes,

    y ~ π,   log c ~ Uniform(log 0.1, log 10),   ℓ | y, c ~ Dirichlet(c/C · 1 + e_y).

The density of ℓ given y and c is proportional to ∏_j ℓ_j^{c/C - 1} · ℓ_y: the class enters through
the factor ℓ_y alone. Hence P(y = j | ℓ, c) = π_j ℓ_j / Σ_k π_k ℓ_k, whatever c is, so that rows of
every entropy, from sharp (small c) to flat (large c), are *exactly* calibrated and the best
possible decision is known. That is why the Dirichlet is put around the class in this way. With
c/C in place of a constant, the accuracy stays near a half for many classes instead of fading away.

Classifiers see ℓ and answer p_j ∝ (s_j ℓ_j e^{σ g_j})^β, g_j ~ N(0, 1) drawn once a repeat:

- `calibrated`: s = π, σ = 0, β = 1. The Bayes rule; whatever changes it can only lose on average.
- `biased`: s = π, σ = 0.5. It favours some classes beyond their due, as trained networks do.
- `biased, under-confident` and `biased, over-confident`: the same with β = 1/2 and β = 2, for
  α = 1 only.
- `shifted, source reference`: s is the other of U and S, σ = 0: right for the data that it learned
  from. The reference are confident rows of these (y ~ s), as the paper has it.
- `shifted, target reference`: the same, with confident rows of the target for a reference.

A row is confident if its top-3 entropy (top-2 for C = 2) is below 0.5. Ambiguous ones fall into
the buckets [0.5, 0.7), [0.7, 0.9) and [0.9, 1]; each repeat takes up to 60 of each, so that every
bucket weighs alike, and max(5C, 200) confident rows for the reference. CAN is given the true prior
π, or the wrong one: the other of U and S, which under a shift is that of the source.

Gains are differences of accuracy on the ambiguous rows, mean over the repeats with the 95 %
interval of Student's t. Beside them stands what the authors' own simulation measures, which has
no labels: the relative growth of the mass that lies where the *given* prior is high,
(b' - b)·q / b·q, after one iteration or two.

Where α^(d-1) exceeds 256, depth d has the classes of the deepest iteration below that: hardly a
class changes any more (1 of 2,776 in a trial), and entries that underflow cost a hundred times as
much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from postproc.can.operation import alternating_normalization
from postproc.scores.confidence import top_k_entropy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLASSES = (2, 3, 5, 10, 20, 50, 100)
ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0)
ITERATIONS = (1, 2, 3, 5, 10)
PRIORS = ("uniform", "skewed")
GIVEN = ("true prior", "wrong prior")
BUCKETS = ("0.5 to 0.7", "0.7 to 0.9", "0.9 to 1")
#: All three buckets together.
ALL = "all"

EDGES = (0.5, 0.7, 0.9, 1.0)
ROWS_A_BUCKET = 60
SKEW = 10.0
CONCENTRATIONS = (0.1, 10.0)
BIAS = 0.5
#: Growth of entries' exponents, α^(d-1), beyond which iterations bring nothing new.
SETTLED = 256.0


@dataclass(frozen=True)
class Situation:
    """A classifier and where its reference comes from; see the module's text."""

    name: str
    bias: float = 0.0
    beta: float = 1.0
    is_shifted: bool = False
    own_reference: bool = True
    alphas: tuple[float, ...] = ALPHAS


SITUATIONS = (
    Situation("calibrated"),
    Situation("biased", bias=BIAS),
    Situation("biased, under-confident", bias=BIAS, beta=0.5, alphas=(1.0,)),
    Situation("biased, over-confident", bias=BIAS, beta=2.0, alphas=(1.0,)),
    Situation("shifted, source reference", is_shifted=True, own_reference=False),
    Situation("shifted, target reference", is_shifted=True),
)


@dataclass(frozen=True)
class Cell:
    """Gain on the ambiguous rows of one bucket, or of all, in one setting, over the repeats.

    Accuracy, gain and the limits of its interval are fractions; `mass` is the authors' measure.
    """

    situation: str
    truth: str
    given: str
    classes: int
    alpha: float
    iterations: int
    bucket: str
    rows: float
    accuracy: float
    gain: float
    low: float
    high: float
    mass: float


@dataclass(frozen=True)
class Evidence:
    """Classes y of shape (n,) and evidence ℓ of shape (n, C)."""

    labels: Ints
    evidence: Floats


def class_distribution(name: str, n_classes: int) -> Floats:
    """U or S of the module's text, shape (C,)."""
    ratio = SKEW if name == "skewed" else 1.0
    falling = ratio ** -(np.arange(n_classes) / (n_classes - 1))
    return np.asarray(falling / falling.sum())


def draw(prior: Floats, n_rows: int, rng: np.random.Generator) -> Evidence:
    """Draw rows from the generative model."""
    n_classes = len(prior)
    labels = rng.choice(n_classes, size=n_rows, p=prior)
    low, high = (math.log(c) for c in CONCENTRATIONS)
    shapes = np.repeat(np.exp(rng.uniform(low, high, (n_rows, 1))) / n_classes, n_classes, axis=1)
    shapes[np.arange(n_rows), labels] += 1.0
    gammas = rng.standard_gamma(shapes)
    return Evidence(labels, gammas / gammas.sum(axis=1, keepdims=True))


def classify(evidence: Floats, source: Floats, logit_bias: Floats, beta: float) -> Floats:
    """The classifier's probabilities p ∝ (s ℓ e^bias)^β, shape (n, C)."""
    scores = (evidence * (source * np.exp(logit_bias))) ** beta
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def entropies(probs: Floats) -> Floats:
    """Top-3 entropies, or top-2 for two classes."""
    return np.asarray(top_k_entropy(probs, min(3, probs.shape[1])))


def depths_computed(alpha: float, iterations: Sequence[int]) -> list[int]:
    """Which of the depths 1.. stands for each depth: itself, or the last that differs."""
    last = max(iterations)
    if alpha > 1:
        last = 1 + int(math.log(SETTLED) / math.log(alpha) + 1e-9)
    return [min(depth, last) for depth in iterations]


@dataclass(frozen=True)
class Outcome:
    """Ambiguous rows of a target with their bucket, shapes (k, C) and (k,), and a reference."""

    rows: Floats
    labels: Ints
    bucket: Ints
    reference: Floats

    @classmethod
    def pick(cls, labels: Ints, probs: Floats, others: Floats, *, n_reference: int) -> Outcome:
        """Take rows of every bucket of the target, and confident rows of the other predictions."""
        found = entropies(probs)
        last = len(EDGES) - 2
        picks = [
            np.flatnonzero((found >= EDGES[i]) & ((found < EDGES[i + 1]) | (i == last)))
            for i in range(last + 1)
        ]
        picks = [pick[:ROWS_A_BUCKET] for pick in picks]
        rows = np.concatenate(picks)
        bucket = np.repeat(np.arange(len(picks)), [len(pick) for pick in picks])
        confident = np.flatnonzero((found if others is probs else entropies(others)) < EDGES[0])
        return cls(probs[rows], labels[rows], bucket, others[confident[:n_reference]])

    def gains(
        self, prior: Floats, alpha: float, iterations: Sequence[int]
    ) -> tuple[NDArray[np.int8], Floats]:
        """Gain of every row (1, 0, -1), shape (d, k), and the authors' measure, shape (d,)."""
        depths = depths_computed(alpha, iterations)
        adjusted = alternating_normalization(
            self.rows,
            self.reference,
            prior,
            alpha=alpha,
            iterations=max(depths),
            all_iterations=True,
        )[[depth - 1 for depth in depths]]
        right = adjusted.argmax(axis=2) == self.labels
        before = self.rows.argmax(axis=1) == self.labels
        mass = (adjusted @ prior / (self.rows @ prior)).mean(axis=1) - 1.0
        return right.astype(np.int8) - before.astype(np.int8), mass


def reference_rows(n_classes: int) -> int:
    """Rows of the reference."""
    return max(5 * n_classes, 200)


def simulate(
    *,
    classes: Sequence[int] = CLASSES,
    alphas: Sequence[float] = ALPHAS,
    iterations: Sequence[int] = ITERATIONS,
    repeats: int = 20,
    seed: int = 0,
    situations: Sequence[Situation] = SITUATIONS,
    say: Callable[[str], None] = lambda line: None,
) -> list[Cell]:
    """Run the simulation.

    Parameters
    ----------
    classes, alphas, iterations : sequences
        Numbers of classes C >= 2, exponents α and depths d to try.
    repeats : int
        Repeats >= 2; each draws rows and biases anew.
    seed : int
        Seed; together with C and the number of a repeat it fixes the draws, so that the result
        for one C does not depend on which others are asked for.
    situations : sequence of Situation
        Classifiers.
    say : callable
        Takes a line for each number of classes that is done.

    Returns
    -------
    list of Cell
        One for each situation, truth, given prior, C, α, d, and bucket or all of them.

    Raises
    ------
    ValueError
        If there are fewer than two repeats.
    """
    if repeats < 2:
        raise ValueError(f"`repeats` must be 2 or more, got {repeats}")
    cells: list[Cell] = []
    for n_classes in classes:
        found: dict[tuple[str, str, str, float, int, str], list[tuple[float, ...]]] = {}
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, n_classes, repeat])
            for key, values in _repeat(n_classes, alphas, iterations, situations, rng):
                found.setdefault(key, []).append(values)
        for key, drawn in found.items():
            kept = [values for values in drawn if values[0] > 0]  # a bucket may be empty at times
            if len(kept) < 2:
                continue
            rows, accuracy, gains, mass = zip(*kept, strict=True)
            situation, truth, given, alpha, depth, bucket = key
            gain, low, high = mean_interval(gains)
            cell = (situation, truth, given, n_classes, alpha, depth, bucket)
            cells.append(Cell(*cell, fmean(rows), fmean(accuracy), gain, low, high, fmean(mass)))
        say(f"{n_classes} classes")
    return cells


def _repeat(
    n_classes: int,
    alphas: Sequence[float],
    iterations: Sequence[int],
    situations: Sequence[Situation],
    rng: np.random.Generator,
) -> Iterable[tuple[tuple[str, str, str, float, int, str], tuple[float, ...]]]:
    """Rows, accuracy before, gain and measure of every cell; situations share their draws."""
    n_rows = 8 * reference_rows(n_classes)
    priors = {name: class_distribution(name, n_classes) for name in PRIORS}
    drawn = {name: draw(prior, n_rows, rng) for name, prior in priors.items()}
    normal = rng.standard_normal(n_classes)
    for situation in situations:
        for truth, other in zip(PRIORS, PRIORS[::-1], strict=True):
            source = priors[other if situation.is_shifted else truth]
            bias = situation.bias * normal
            probs = classify(drawn[truth].evidence, source, bias, situation.beta)
            others = probs
            if not situation.own_reference:
                others = classify(drawn[other].evidence, source, bias, situation.beta)
            outcome = Outcome.pick(
                drawn[truth].labels, probs, others, n_reference=reference_rows(n_classes)
            )
            before = outcome.rows.argmax(axis=1) == outcome.labels
            for given, prior in zip(GIVEN, (priors[truth], priors[other]), strict=True):
                for alpha in (a for a in alphas if a in situation.alphas):
                    gains, mass = outcome.gains(prior, alpha, iterations)
                    for place, depth in enumerate(iterations):
                        for number, bucket in enumerate((*BUCKETS, ALL)):
                            rows = (outcome.bucket == number) | (bucket == ALL)
                            count = int(rows.sum())
                            if count == 0:
                                values: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
                            else:
                                values = (
                                    float(count),
                                    float(before[rows].mean()),
                                    float(gains[place, rows].mean()),
                                    float(mass[place]),
                                )
                            key = (situation.name, truth, given, alpha, depth, bucket)
                            yield key, values


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of two values or more, and Student's 95 % interval."""
    from scipy.stats import t

    mean = fmean(values)
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half
