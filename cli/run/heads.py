"""What heads on saved scores say of their training and of their gain."""

from __future__ import annotations

from typing import Any

from ensemble.base import Ensemble


def head_summary(combiner: Ensemble) -> dict[str, Any]:
    """Training methods that were asked for, and the gain of label embeddings."""
    head: Any = combiner
    summary: dict[str, Any] = {}
    if getattr(head, "training", None) is not None:
        summary["training"] = {"methods": head.training_, **_gain(head.training_gain_)}
    if type(head).__name__ == "YTuning":
        summary["label_embeddings"] = {"weight": head.label_weight_, **_gain(head.gain_)}
    return summary


def head_lines(summary: dict[str, Any]) -> list[str]:
    """The summary in words."""
    lines = []
    if "label_embeddings" in summary:
        said = summary["label_embeddings"]
        used = f"weight {said['weight']:.3f}" if said["weight"] else "left out, weights alone"
        lines.append(f"label embeddings: {used}{_in_words(said)}")
    if "training" in summary:
        said = summary["training"]
        methods = ", ".join(f"{name} {value:g}" for name, value in said["methods"].items())
        lines.append(f"training: {methods or 'plain'}{_in_words(said)}")
    return lines


def _gain(gain: Any) -> dict[str, Any]:
    if gain is None:
        return {"gain": None, "gain_ci": None}
    value, low, high = map(float, gain)
    return {"gain": value, "gain_ci": [low, high]}


def _in_words(said: dict[str, Any]) -> str:
    if said["gain"] is None:
        return ""
    low, high = said["gain_ci"]
    return (
        f"; out of fold the log-loss falls by {said['gain']:z.4f} nats, 95 % interval {low:z.4f} "
        f"to {high:z.4f}"
    )
