"""What `auto` did and why, in a paragraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ensemble.auto.rehearsal import PairedGain

if TYPE_CHECKING:
    from ensemble.auto.pipeline import AutoPostprocessor
    from ensemble.auto.policy import Decision, Policy

WAYS = {"weights": "a log pool with learned weights", "blend": "a blend"}


def explain(auto: AutoPostprocessor, decision: Decision) -> str:
    """Say what is done to a target and on what evidence."""
    policy = auto.policy_
    if policy is None:
        return "Nothing was done: the labelled rows are too few to tell a gain from chance" + (
            f", and {auto.names_[auto.best_]} stands alone." if auto.n_members_ > 1 else "."
        )
    said = [_combination(auto)] if auto.n_members_ > 1 else []
    if decision.test is None:
        return " ".join([*said, "There is no row in the target, so nothing was done to it."])
    p_value = f"p = {decision.test.p_value:.2g}"
    if decision.action == "adapt":
        said.append(_adaptation(decision, p_value))
    elif decision.test.p_value < policy.alpha:
        assert decision.rehearsed is not None
        said.append(
            f"The class frequencies of the target have shifted ({p_value}), but adapting to such "
            f"a shift did not pay for certain when it was rehearsed on the fit rows "
            f"({_points(decision.rehearsed)}). Predicted classes stay as they were; only the "
            "temperature of the probabilities was set."
        )
    else:
        said.append(_calibration(policy, p_value, calibrates=decision.action == "calibrate"))
    if decision.expected is not None and (decision.action != "nothing" or auto.combiner_):
        said.append(_quote(auto, decision, decision.expected))
    return " ".join(said)


def _combination(auto: AutoPostprocessor) -> str:
    best = auto.names_[auto.best_]
    if auto.combiner_ is not None:
        gain = auto.candidates_[auto.combination_].gain
        return (
            f"The {auto.n_members_} members were combined by {WAYS[auto.combination_]}: out of "
            f"fold that gains {_points(gain)} over {best}, the best of them."
        )
    return (
        f"{best}, the best of the {auto.n_members_} members, was taken alone: no combination is "
        "better for certain."
    )


def _adaptation(decision: Decision, p_value: str) -> str:
    assert decision.prior is not None
    assert decision.source_prior is not None
    assert decision.test is not None
    moved = 50.0 * float(np.abs(decision.prior.prior - decision.source_prior).sum())
    return (
        f"The class frequencies of the target differ from those of the fit split ({p_value}, "
        f"{decision.test.ratio:.1f} times the sampling noise). The predictions were calibrated and "
        f"re-weighted to an estimated prior that moves {moved:.1f} % of the mass, held back by "
        f"{decision.prior.strength:.0f} pseudo-rows."
    )


def _calibration(policy: Policy, p_value: str, *, calibrates: bool) -> str:
    same = f"The target shows no shift of class frequencies ({p_value})"
    if calibrates:
        return f"{same}, so no prior was applied; the predictions were calibrated."
    return (
        f"{same}, and calibration does not raise out-of-fold accuracy for certain "
        f"({_points(policy.calibration_gain)}). Predicted classes stay as they were; only the "
        "temperature of the probabilities was set."
    )


def _quote(auto: AutoPostprocessor, decision: Decision, gain: PairedGain) -> str:
    against = f" over {auto.names_[auto.best_]}" if auto.n_members_ > 1 else ""
    said = f"Expected gain{against}: {_points(gain)}, out of fold on the fit rows"
    assert auto.policy_ is not None
    assert decision.test is not None
    if decision.test.p_value < auto.policy_.alpha:
        said += (
            " re-weighted to the class frequencies of the target, which leaves "
            f"{decision.effective_rows:.0f} effective rows"
        )
    return f"{said}. The interval allows for these rows having taken part in the choice."


def _points(gain: PairedGain) -> str:
    low, high = (100.0 * value for value in gain.interval)
    return f"{100.0 * gain.gain:+z.2f} points, 95 % interval {low:+z.2f} to {high:+z.2f}"
