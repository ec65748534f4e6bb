"""Counts of what CAN adjusted and, where labels are known, of what that did."""

from __future__ import annotations

from typing import Any

from postproc.can.model import Moments
from postproc.evaluation.paired import Comparison


class Tally:
    """Sums of the counts that `AdjustRows` gives for each block."""

    def __init__(self, n_classes: int) -> None:
        self.counts: dict[str, int] = {}
        self.moments = Moments(n_classes)

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    def merge(self, counts: dict[str, Any]) -> None:
        """Add the counts of a block."""
        sums, squares = counts.pop("sums"), counts.pop("squares")
        self.moments.merge(counts["rows"], sums, squares)
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def report(self) -> dict[str, Any]:
        """Accuracy before and after, of all, confident and ambiguous rows, and the gain."""
        compared = Comparison(self["rows"], self["fixed"], self["broken"])
        n_ambiguous, unchanged = self["ambiguous"], self["right_confident"]
        before, after = self["right_before"], self["right_after"]
        groups = {
            "all": (self["rows"], unchanged + before, unchanged + after),
            "confident": (self["rows"] - n_ambiguous, unchanged, unchanged),
            "ambiguous": (n_ambiguous, before, after),
        }
        return {
            "accuracy": {
                name: {
                    "rows": rows,
                    "before": right_before / rows if rows else None,
                    "after": right_after / rows if rows else None,
                }
                for name, (rows, right_before, right_after) in groups.items()
            },
            **compared.to_dict(),
        }
