"""What decisions are worth: counted as they are written, and shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import echo, print_table
from postproc.decisions.abstention import SelectiveClassifier
from postproc.decisions.costs import LeastCost
from postproc.decisions.decider import Decider
from postproc.decisions.label_thresholds import LabelThresholds
from postproc.decisions.rules import ABSTAINED
from postproc.decisions.sets import ConformalSets
from postproc.decisions.thresholds import ClassWeights
from postproc.evaluation.agreement import order_doubts
from postproc.evaluation.influence import spread_of
from postproc.evaluation.paired import wilson_interval
from postproc.evaluation.registry import find_metric
from postproc.reports.tables import percent
from postproc.scores.codes import coded
from postproc.scores.names import ABSTAIN, first_few
from postproc.scores.predictions import Predictions

#: Decisions of a table of costs that are shown: those of most rows.
SHOWN = 10


@dataclass
class Tally:
    """Counts of decisions, and of those that are right."""

    target: Predictions
    labels: NDArray[Any] | None
    costs: LeastCost | None
    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    decided: list[NDArray[Any]] = field(default_factory=list)  # kept where there are labels
    made: Counter[int] = field(default_factory=Counter)  # rows of each decision, where they cost

    def add(self, rows: slice, block: NDArray[Any], counts: dict[str, float]) -> None:
        """Count a block of labels (k,) or (k, m), or of sets (k, C)."""
        own = self._right(rows, block) if self.labels is not None else {}
        for name, number in {**counts, **own}.items():
            self.counts[name] += number
        if self.costs is not None:
            self.made.update(block.tolist())

    def _right(self, rows: slice, block: NDArray[Any]) -> dict[str, float]:
        y = np.asarray(self.labels)[rows].astype(np.int64)
        if y.ndim == 2:
            self.decided.append(block)
            return {}
        if block.ndim == 2:
            known = np.flatnonzero(y < block.shape[1])
            return {"covered": float(np.count_nonzero(block[known, y[known]]))}
        self.decided.append(block.astype(np.int32))
        found: dict[str, float] = {
            "wrong": float(np.count_nonzero((block != y) & (block != ABSTAINED))),
            "decided": float(np.count_nonzero(block != ABSTAINED)),
        }
        return found

    def summary(self, n_rows: int) -> dict[str, Any]:
        """Shares and means of the decisions, for JSON."""
        found: dict[str, Any] = {}
        if "accepted" in self.counts:
            accepted = int(self.counts["accepted"])
            found |= {"accepted": accepted, "coverage": accepted / max(1, n_rows)}
        if "members" in self.counts:
            found |= {"mean_size": self.counts["members"] / max(1, n_rows)}
            found |= {"empty_filled": int(self.counts["empty"])}
        if "given" in self.counts:
            found["labels_per_row"] = self.counts["given"] / max(1, n_rows)
        if "expected_cost" in self.counts:
            found["expected_cost"] = self.counts["expected_cost"] / max(1, n_rows)
        if self.costs is not None:
            found["threshold"] = self.costs.threshold(self.target.positive_column)
            made = [(self._name(j), self.made[j]) for j in self.costs.decisions]
            found["decisions"] = [
                {"decision": name, "rows": rows, "share": rows / max(1, n_rows)}
                for name, rows in made
            ]
        return found

    def judged(self, n_rows: int) -> dict[str, Any]:
        """Shares of right decisions, for JSON; nothing without labels."""
        if self.labels is None or n_rows == 0:
            return {}
        if np.ndim(self.labels) == 2:
            y, made = np.asarray(self.labels), np.concatenate(self.decided)
            metrics = map(find_metric, ("micro_f1", "macro_f1", "accuracy"))
            return {m.name: m.measure_decided(y, made, y.shape[1]).value for m in metrics}
        if "covered" in self.counts:
            covered = int(self.counts["covered"])
            return {"covered": covered / n_rows, "covered_ci": [*wilson_interval(covered, n_rows)]}
        decided, wrong = int(self.counts["decided"]), int(self.counts["wrong"])
        found: dict[str, Any] = {"decided": decided, "wrong": wrong}
        if decided:
            found |= {"error": wrong / decided, "error_ci": [*wilson_interval(wrong, decided)]}
        return found if self.costs is None else found | self._judged_costs(self.costs)

    def _judged_costs(self, costs: LeastCost) -> dict[str, Any]:
        """What the decisions cost, and the same one for all rows; of two classes both mistakes."""
        y, decided = np.asarray(self.labels).astype(np.int64), np.concatenate(self.decided)
        paid = costs.of(y, decided)
        cost = float(paid.mean())
        estimate = spread_of(cost, paid - cost).estimate()
        always = costs.costs[y].mean(axis=0)
        best = int(always.argmin())
        found: dict[str, Any] = {
            "cost": cost,
            "cost_ci": list(estimate.interval),
            "constant": {
                "decision": self._name(costs.decisions[best]),
                "cost": float(always[best]),
            },
        }
        if self.target.n_classes == 2:
            at = self.target.positive_column
            for name, true in (("missed", at), ("needless", 1 - at)):
                rows = decided[y == true]
                found[name] = {"rows": int(np.sum(rows == 1 - true)), "of": len(rows)}
        return found

    def _name(self, decision: int) -> str:
        return ABSTAIN if decision == ABSTAINED else self.target.class_name(decision)


def fitted_summary(decider: Decider | None) -> dict[str, Any]:
    """What was learned, for JSON."""
    if decider is None:
        return {}
    found: dict[str, Any] = {"fit_rows": decider.n_rows_}
    if isinstance(decider, ClassWeights | LabelThresholds):
        found |= {
            "metric": decider.metric,
            "improved": decider.improved_,
            "baseline": decider.baseline_,
            "gain": decider.gain_,
            "gain_ci": list(decider.gain_ci_),
        }
    if isinstance(decider, ClassWeights):
        found["weights"] = decider.weights_.tolist()
        if decider.n_features_in_ == 2:  # w_1 p >= w_0 (1 - p) from this p on
            found["threshold"] = float(decider.weights_[0] / decider.weights_.sum())
    if isinstance(decider, LabelThresholds):
        found["thresholds"] = decider.thresholds_.tolist()
    if isinstance(decider, SelectiveClassifier):
        guaranteed = decider.max_error is not None and decider.accepted_ > 0
        found |= {
            "max_error": decider.max_error,
            "confidence": decider.confidence if guaranteed else None,
            "guaranteed": guaranteed,
            "threshold": decider.threshold_ if np.isfinite(decider.threshold_) else None,
            "fit_accepted": decider.accepted_,
            "fit_errors": decider.errors_,
            "error_bound": decider.bound_ if guaranteed else None,
        }
    if isinstance(decider, ConformalSets):
        thresholds = decider.thresholds_.tolist()
        found |= {
            "set_coverage": decider.coverage,
            "score": decider.score,
            "per_class": decider.per_class,
            "prior": None if decider.prior is None else np.asarray(decider.prior).tolist(),
            "thresholds": [t if np.isfinite(t) else None for t in thresholds],
        }
    return found


def decision_doubts(decider: Decider | None, target: Predictions) -> list[str]:
    """What a guarantee could not be given for, and what a metric takes for granted."""
    if isinstance(decider, ClassWeights):
        return order_doubts([decider.metric], target.classes)
    if isinstance(decider, SelectiveClassifier) and decider.accepted_ == 0:
        tests = "; ".join(
            f"{errors} of {rows:,} are wrong, which shows at most {bound:.3f}"
            for rows, errors, bound in decider.failed_
        )
        said = (
            f"no row is decided: an error of at most {decider.max_error:g} is not shown with "
            f"confidence {decider.confidence:g}. Of the most certain rows of --fit, {tests}. More "
            "rows of --fit would help, or calibrated scores, or a larger --max-error"
        )
        return [coded("few-rows", said)]
    if isinstance(decider, ConformalSets):
        every = np.flatnonzero(np.isinf(decider.thresholds_))
        if len(every):
            names = first_few([target.class_name(int(j)) for j in every])
            said = (
                f"{len(every)} of {target.n_classes} classes have too few rows in --fit for a "
                f"threshold and are in every set: {names}"
            )
            return [coded("few-rows", said)]
    return []


def show_decisions(summary: dict[str, Any]) -> None:
    """Print what was decided and what is known of it."""
    columns = "labels" if summary["task"] == "multilabel" else "classes"
    size = f"{summary['rows']} rows x {summary['classes']} {columns}, {summary['kind']}"
    fitted = f"; fitted to {summary['fit_rows']} rows" if "fit_rows" in summary else ""
    echo(size + fitted)
    if "decisions" in summary:
        made = sorted(summary["decisions"], key=lambda each: -each["rows"])[:SHOWN]
        rows = [[each["decision"], f"{each['rows']}", percent(each["share"])] for each in made]
        print_table(["decision", "rows", "%"], rows)
    for line in _lines(summary):
        echo(line)


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    judged = summary["judged"] or {}
    if "metric" in summary:
        name = find_metric(summary["metric"]).heading
        plain, new = "the likeliest classes", "class weights"
        if summary["task"] == "multilabel":
            plain, new = "thresholds of 1/2", "thresholds for each label"
        used = f"so {new} are used"
        if not summary["improved"]:
            used = f"which is not clearly above zero, so {plain} are kept"
        yield f"{name} of {plain} on --fit: {summary['baseline']:.4f}"
        yield f"gain on held-out rows: {_gain_text(summary)}, {used}"
        if summary["improved"] and "threshold" in summary:
            yield f"threshold of the positive class: {summary['threshold']:.4f}"
    if "labels_per_row" in summary:
        yield f"labels per row: {summary['labels_per_row']:.2f}"
    if "mean_size" in summary:
        yield (
            f"sets of {percent(summary['set_coverage'])} %: {summary['mean_size']:.2f} classes on "
            f"average; {summary['empty_filled']} would be empty and hold the likeliest class"
        )
    if "expected_cost" in summary:
        yield f"expected cost per row: {summary['expected_cost']:.4g}"
        if summary["threshold"] is not None:
            yield f"threshold of the positive class: {summary['threshold']:.4g}"
    if (promise := summary.get("promise")) and promise["holds"]:
        yield (
            f"on the rows of --fit these decisions cost {promise['actual']:.4g} a row, and the "
            f"probabilities promise {promise['promised']:.4g}: no more apart than by chance"
        )
    if "accepted" in summary and "decisions" not in summary:
        yield f"decided: {summary['accepted']} rows ({percent(summary['coverage'])} %)"
    if summary.get("guaranteed"):
        yield (
            f"at most {percent(summary['max_error'])} % of such rows are wrong, with confidence "
            f"{summary['confidence']:g} ({summary['fit_errors']} of {summary['fit_accepted']} in "
            "--fit)"
        )
    if "covered" in judged:
        low, high = judged["covered_ci"]
        yield (
            f"sets that hold the true class: {percent(judged['covered'])} % "
            f"({percent(low)} to {percent(high)})"
        )
    if "micro_f1" in judged:
        scores = (f"{find_metric(k).heading} {judged[k]:.4f}" for k in ("micro_f1", "macro_f1"))
        right = f"{percent(judged['accuracy'])} % of rows with all labels right"
        yield f"on these rows: {', '.join(scores)}, {right}"
    if "gain" in judged:
        name = find_metric(summary["metric"]).heading
        yield f"{name} on these rows: {judged['value']:.4f}, gain {_gain_text(judged)}"
    if "missed" in judged:
        missed, needless = judged["missed"], judged["needless"]
        yield (
            f"missed: {missed['rows']} of {missed['of']} positive rows; needless: "
            f"{needless['rows']} of {needless['of']} negative rows"
        )
    elif "error" in judged:
        low, high = judged["error_ci"]
        yield (
            f"wrong: {judged['wrong']} of {judged['decided']} decided rows, "
            f"{percent(judged['error'])} % ({percent(low)} to {percent(high)})"
        )
    if "cost" in judged:
        low, high = judged["cost_ci"]
        constant = judged["constant"]
        yield (
            f"cost per row: {judged['cost']:.4g} ({low:.4g} to {high:.4g}); the best "
            f"decision for all rows alike, {constant['decision']}: {constant['cost']:.4g}"
        )


def _gain_text(found: dict[str, Any]) -> str:
    low, high = found["gain_ci"]
    return f"{found['gain']:+z.4f} ({low:+z.4f} to {high:+z.4f})"
