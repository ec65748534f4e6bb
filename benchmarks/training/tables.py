"""Gains over plain training, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

from benchmarks.training.methods import METHODS

MEMBERS = ("cnn", "gru", "transformer")


def print_tables(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table a setting: gains of each method, in points, with 95 % intervals over seeds."""
    for task, few, noisy in sorted({(r["task"], r["few"], r["noisy"]) for r in rows}):
        here = [r for r in rows if (r["task"], r["few"], r["noisy"]) == (task, few, noisy)]
        by_method: dict[str, dict[int, Any]] = {}
        for row in here:
            by_method.setdefault(row["method"], {})[row["seed"]] = row
        plain = by_method.pop("plain", {})
        if not plain:
            continue
        title = f"{task}{', ten shots' if few else ''}{', 20 % wrong labels' if noisy else ''}"
        figures = [
            f"{fmean(values(r, what) for r in plain.values()):.2f}"
            for what in ("member", "weights", "devil")
        ]
        print(f"\n**{title}**; plain members {figures[0]}, `weights` {figures[1]}, ", end="")
        print(f"devil's advocate {figures[2]}\n")
        print("| method | seeds | member | `weights` | devil's advocate | time | published |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, found in by_method.items():
            seeds = sorted(plain.keys() & found.keys())
            if not seeds:
                continue
            pairs = [(plain[seed], found[seed]) for seed in seeds]
            gains = [interval([values(b, w) - values(a, w) for a, b in pairs]) for w in WHATS]
            cost = fmean(b["seconds"] / a["seconds"] for a, b in pairs)
            published = METHODS[name].published if name in METHODS else "-"
            cells = [name, str(len(seeds)), *gains, f"{cost:.1f} ×", published]
            print(f"| {' | '.join(cells)} |")


WHATS = ("member", "weights", "devil")


def values(row: Mapping[str, Any], what: str) -> float:
    """An accuracy, or the mean of those of the members."""
    accuracy = row["accuracy"]
    return fmean(accuracy[name] for name in MEMBERS) if what == "member" else accuracy[what]


def interval(gains: Sequence[float]) -> str:
    """Mean and 95 % interval by Student's t, in bold where it excludes zero."""
    mean = fmean(gains)
    if len(gains) < 2:
        return f"{mean:+.2f}"
    half = t.ppf(0.975, len(gains) - 1) * stdev(gains) / len(gains) ** 0.5
    text = f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"
    return f"**{text}**" if abs(mean) > half else text
