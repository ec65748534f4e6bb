"""What `auto` did to a target and why, as a paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble.auto.policy import Decision, Policy
from ensemble.auto.rehearsal import PairedGain
from postproc.evaluation.registry import Metric, find_metric

WAYS = {"weights": "a log pool with learned weights", "blend": "a discriminant pool"}


@dataclass(frozen=True)
class Combination:
    """The members, and how they are combined."""

    names: Sequence[str]
    best: str
    way: str  # a key of WAYS, or "best"
    gain: PairedGain | None  # out of fold; None for the best member alone
    #: The best member after `calibrate`, and the gain over it.
    calibrated: tuple[str, PairedGain] | None = None


def explain(combination: Combination, policy: Policy | None, decision: Decision) -> str:
    """Say what is done to a target, and on what evidence."""
    several = len(combination.names) > 1
    if policy is None:
        return "Nothing was done: there are too few labelled rows to tell a gain from chance" + (
            f". Only {combination.best} is used." if several else "."
        )
    metric = find_metric(policy.metric)
    improve = f"significantly {_improve(metric)}"
    said = [_combination(combination, metric)] if several else []
    if decision.test is None:
        return " ".join([*said, "The target has no rows."])
    shifted = decision.test.p_value < policy.alpha
    p_value = f"p = {decision.test.p_value:.2g}"
    if not shifted and decision.test.p_value < 0.05:  # others take that for a shift
        p_value += f", not below {policy.alpha:g}"
    refuted = decision.fit is not None and decision.fit.is_refuted
    if decision.action == "adapt":
        said.append(_adaptation(decision, p_value))
    elif refuted:
        said.append(_refusal(policy, decision, p_value))
    elif shifted and decision.action == "calibrate":
        said.append(
            f"The target shows label shift ({p_value}). The predictions were calibrated but not "
            f"re-weighted: that did not {improve} further when such a shift was "
            "rehearsed on the fit rows."
        )
    elif shifted:
        assert decision.rehearsed is not None
        said.append(
            f"The target shows label shift ({p_value}), but adapting to such a shift did not "
            f"{improve} when it was rehearsed on the fit rows "
            f"({_points(decision.rehearsed, metric)}). {_unchanged(policy)}"
        )
    else:
        said.append(_calibration(policy, p_value, calibrates=decision.action == "calibrate"))
    if decision.expected is not None and (decision.action != "nothing" or combination.gain):
        against = f" over {combination.best}" if several else ""
        against += " as given" if combination.calibrated else ""
        gain = _points(decision.expected, metric)
        said.append(_quote(decision, gain, against, shifted=shifted and not refuted))
    return " ".join(said)


def _improve(metric: Metric) -> str:
    return "raise accuracy" if metric.name == "accuracy" else f"improve {metric.heading}"


def _unchanged(policy: Policy) -> str:
    if policy.plain is not None:
        return "Probabilities are unchanged, too: a temperature did not improve them significantly."
    return "Predicted classes are unchanged; only the temperature of the probabilities was set."


def _combination(combination: Combination, metric: Metric) -> str:
    n_members, best = len(combination.names), combination.best
    if combination.gain is not None:
        said = (
            f"The {n_members} members were combined by {WAYS[combination.way]}: out of fold, this "
            f"gains {_value(combination.gain, metric)} over the best member, {best}"
        )
        if combination.calibrated is not None:
            name, gain = combination.calibrated
            over = f"{_number(gain.gain, metric)}, {_interval(gain, metric)},"
            said += f", and {over} over the best calibrated member, {name}"
        return f"{said}."
    why = (
        "is significantly more accurate"
        if metric.name == "accuracy"
        else f"improves {metric.heading} significantly"
    )
    return f"Only {best}, the best of the {n_members} members, is used: no combination {why}."


def _adaptation(decision: Decision, p_value: str) -> str:
    assert decision.prior is not None
    assert decision.source_prior is not None
    assert decision.test is not None
    assumed = ""
    if decision.fit is not None:
        assumed = (
            " This assumes that rows of one class look alike in the fit rows and in the target; "
            f"class frequencies explain {100.0 * decision.fit.explained:.0f} % of the difference."
        )
    moved = 50.0 * float(np.abs(decision.prior.prior - decision.source_prior).sum())
    return (
        f"The target shows label shift ({p_value}, {decision.test.ratio:.1f} times the sampling "
        "noise). The predictions were calibrated and "
        f"re-weighted to an estimated prior, which moves {moved:.1f} % of the probability mass and "
        f"is shrunk to the source prior by {decision.prior.strength:.0f} pseudo-rows."
        f"{assumed}"
    )


def _refusal(policy: Policy, decision: Decision, p_value: str) -> str:
    assert decision.fit is not None
    done = "The predictions were calibrated but not re-weighted."
    return (
        f"The target differs from the fit rows ({p_value}), but not by class frequencies alone: "
        f"these explain {100.0 * decision.fit.explained:.0f} % of the difference, and the rest is "
        f"{decision.fit.ratio:.1f} times the sampling noise. "
        f"{done if decision.action == 'calibrate' else _unchanged(policy)} The expected gain does "
        "not reckon with what has changed."
    )


def _calibration(policy: Policy, p_value: str, *, calibrates: bool) -> str:
    metric = find_metric(policy.metric)
    raised = f"{_improve(metric)} out of fold"
    if metric.name == "accuracy":
        raised = "raise out-of-fold accuracy"
    same = f"The target shows no label shift ({p_value})"
    if calibrates:
        return f"{same}, so the predictions were calibrated but not re-weighted."
    if policy.calibration_gain.is_credible(policy.min_z):
        return (
            f"{same}, but in shifts as small as that of the target, which the test misses, "
            f"calibration did not {_improve(metric)} when they were rehearsed. {_unchanged(policy)}"
        )
    if policy.calibration_gain == PairedGain(0.0, 0.0, policy.calibration_gain.widest):
        return f"{same}, and calibration, which does not help out of fold, changes nothing."
    is_loss = policy.calibration_gain.interval[1] < 0
    result = "does worse out of fold" if is_loss else f"does not significantly {raised}"
    return (
        f"{same}, and calibration {result} "
        f"({_points(policy.calibration_gain, metric)}). {_unchanged(policy)}"
    )


def _quote(decision: Decision, gain: str, against: str, *, shifted: bool) -> str:
    said = f"Expected gain{against}: {gain}, out of fold on the fit rows"
    if shifted:
        said += (
            " re-weighted to the class frequencies of the target "
            f"({decision.effective_rows:.0f} effective rows)"
        )
    return f"{said}. The interval allows for the choices made on these same rows."


def _points(gain: PairedGain, metric: Metric) -> str:
    return f"{_value(gain, metric)}, {_interval(gain, metric)}"


def _value(gain: PairedGain, metric: Metric) -> str:
    if not metric.is_share:
        return f"{_number(gain.gain, metric)} in {metric.heading} (positive is better)"
    what = "points" if metric.name == "accuracy" else f"points of {metric.heading}"
    return f"{_number(gain.gain, metric)} {what}"


def _interval(gain: PairedGain, metric: Metric) -> str:
    low, high = (_number(end, metric) for end in gain.interval)
    return f"95 % interval {low} to {high}"


def _number(value: float, metric: Metric) -> str:
    return f"{100.0 * value:+z.2f}" if metric.is_share else f"{value:+z.4f}"
