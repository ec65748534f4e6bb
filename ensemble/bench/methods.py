"""The methods that a benchmark knows, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from ensemble.base import Ensemble
from ensemble.bench import ensemble_methods as team
from ensemble.bench import member_methods as member
from ensemble.bench.boosting import Boosting
from ensemble.bench.member_methods import Predictor
from ensemble.devil.estimator import NO_DEVIL, PLAIN
from ensemble.learned.calibrated import CalibratedVoting
from ensemble.learned.discriminant_pool import DiscriminantPool
from ensemble.learned.greedy import GreedySelection
from ensemble.learned.gumbel import GumbelSelection
from ensemble.learned.ytuning import YTuning
from ensemble.voting import Voting
from postproc.scores.checks import fail

Scope = Literal["member", "ensemble"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class Method:
    """One method on one member or on all members; `auto` exists in both scopes."""

    scope: Scope
    name: str
    fit: Callable[[Any], Predictor]  # takes a `MemberState` or `TeamState`
    description: str
    group: str = "votes"  # ensembles of a group run in one process, as they share fits or are short
    bound: bool = False  # whether it uses labels of the target, which are unknown in practice
    trains: bool = False  # whether it needs torch
    multilabel: bool = False  # whether it holds for labels that do not exclude each other


_member = partial(Method, "member")
_team = partial(Method, "ensemble")
_labels = partial(Method, "ensemble", multilabel=True)


def _seeded(make: Callable[..., Ensemble]) -> Callable[[Any], Predictor]:
    return partial(team.seeded, make=make)


#: All methods, in the order of tables.
METHODS: tuple[Method, ...] = (
    _member(
        "can-blog",
        partial(member.can_preset, preset="blog"),
        "CAN, preset blog: reference from the draw itself, prior of the fit labels",
    ),
    _member(
        "can-paper-code",
        partial(member.can_preset, preset="paper-code"),
        "CAN, preset paper-code: the same with the rule and sample of the released code",
    ),
    _member("can-tuned", member.can_tuned, "CAN tuned on the fit split, with that as reference"),
    _member(
        "temperature",
        partial(member.calibrate, name="temperature"),
        "temperature scaling: changes no class",
    ),
    _member("bcts", partial(member.calibrate, name="bcts"), "bias-corrected temperature scaling"),
    _member("matrix", partial(member.calibrate, name="matrix"), "residual matrix scaling"),
    _member(
        "structured",
        partial(member.calibrate, name="structured"),
        "structured scaling: a matrix with fixed penalties",
    ),
    _member(
        "pooled",
        partial(member.calibrate, name="pooled"),
        "matrix scaling, a discriminant and a kernel regression in a log pool",
    ),
    _member("em", member.em, "bcts, then the draw's prior by maximum likelihood (EM)"),
    _member("map", member.map_em, "bcts, then EM regularized by the evidence of a shift"),
    _member("map-8c", member.map_8c, "bcts, then EM with 8 pseudo-rows per class"),
    _member(
        "matrix-map",
        partial(member.map_em, name="matrix"),
        "matrix, then EM regularized by the evidence of a shift",
    ),
    _member("bbse", member.bbse, "bcts, then the prior that solves the confusion matrix"),
    _member("sinkhorn", member.sinkhorn, "bcts, then columns scaled to the source prior"),
    _member(
        "can-fit", member.can_on_fit, "temperature, then CAN: reference from fit, prior of map"
    ),
    _member("auto", member.auto_member, "the pipeline chosen by postproc auto", multilabel=True),
    _member(
        "true-prior", member.true_prior, "bcts with the draw's own class frequencies", bound=True
    ),
    _labels("best-single", team.best_single, "the member that is best on the fit split"),
    _labels("hard", _seeded(partial(Voting, "hard")), "majority vote"),
    _labels("soft", _seeded(partial(Voting, "soft")), "mean of the probabilities"),
    _labels("log", _seeded(partial(Voting, "log")), "mean of the log-probabilities"),
    _labels(
        "calibrated",
        partial(team.fitted, make=CalibratedVoting),
        "temperature scaling of each member, then soft",
    ),
    _labels("weights", team.weights, "log pool with learned weights"),
    _labels(
        "blend",
        _seeded(DiscriminantPool),
        "weights with linear discriminants and a kernel regression",
    ),
    _labels("greedy", _seeded(GreedySelection), "greedy selection by accuracy"),
    _labels(
        "greedy-3",
        _seeded(partial(GreedySelection, metric="log_loss", n_steps=3)),
        "three steps of greedy selection by log-loss",
    ),
    _labels("gumbel", _seeded(GumbelSelection), "three members, chosen by Gumbel gates"),
    _labels("stack", team.stack, "logistic regression on all members", group="stack"),
    _labels("bagging", team.bagging, "stackers on ten bootstrap resamples", group="stack"),
    _labels("ytuning", _seeded(YTuning), "weights with label embeddings", trains=True),
    _team("boosting", _seeded(Boosting), "gradient-boosted trees on candidate classes"),
    _team("devil", team.devil, "Devil's Advocate", group="devil", trains=True),
    _team(
        "devil-discussion",
        partial(team.devil, control=NO_DEVIL),
        "control: the discussion without the devil",
        group="devil",
        trains=True,
    ),
    _team(
        "devil-finetuning",
        partial(team.devil, control=PLAIN),
        "control: plain fine-tuning of every member",
        group="devil",
        trains=True,
    ),
    _labels("auto", team.auto_team, "the pipeline chosen by postproc auto", group="auto"),
    _team(
        "oracle",
        team.oracle,
        "correct if any member is: a bound for choosing among them",
        bound=True,
    ),
)

#: Groups of ensemble methods, slowest first, to keep all cores busy.
GROUPS = ("auto", "devil", "stack", "votes")

#: Words that select many methods.
SELECTIONS = ("all", "member", "ensemble")

#: Gains of ensembles are relative to this method.
BASELINE = "best-single"


def find_method(scope: str, name: str) -> Method:
    """The method of a scope and name."""
    return next(m for m in METHODS if (m.scope, m.name) == (scope, name))


def choose_methods(words: Iterable[str]) -> tuple[Method, ...]:
    """Methods by name, or by the words `member`, `ensemble`, `all`; in the order of tables."""
    given = list(words)
    names = {method.name for method in METHODS}
    for word in given:
        if word not in names and word not in SELECTIONS:
            known = ", ".join(dict.fromkeys([*SELECTIONS, *(m.name for m in METHODS)]))
            fail("methods", f"names out of {known}", repr(word))
    chosen = tuple(m for m in METHODS if {"all", m.scope, m.name}.intersection(given))
    if not chosen:
        fail("methods", "one name or more", "none")
    return chosen
