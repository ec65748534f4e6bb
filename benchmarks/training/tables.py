"""Gains over plain training, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

from benchmarks.training.cells import ENCODERS
from benchmarks.training.methods import METHODS
from ensemble.training.text.tasks import TASKS

Row = Mapping[str, Any]

#: Whose accuracy is shown: the mean member's, the learned ensemble's, the Devil's Advocate's.
CONTESTANTS = ("member", "weights", "devil")


def print_tables(rows: Sequence[Row]) -> None:
    """A table a setting: gains of each method, in points, with 95 % intervals over seeds."""
    for setting in sorted({(row["task"], row["few"], row["noisy"]) for row in rows}):
        here = [row for row in rows if (row["task"], row["few"], row["noisy"]) == setting]
        plain = {row["seed"]: row for row in here if row["method"] == "plain"}
        if plain:
            print_table(setting, plain, here)


def print_table(setting: tuple[str, bool, bool], plain: Mapping[int, Row], rows: Any) -> None:
    """The table of one setting: task, ten shots or not, wrong labels or none."""
    task, few, noisy = setting
    title = f"{task}{', ten shots' if few else ''}{', 20 % wrong labels' if noisy else ''}"
    means = [fmean(accuracy(row, who) for row in plain.values()) for who in CONTESTANTS]
    figures = "plain members {:.2f}, `weights` {:.2f}, devil's advocate {:.2f}".format(*means)
    print(f"\n**{title}**; {figures}\n")
    print("| method | seeds | member | `weights` | devil's advocate | time | published |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in (*METHODS, *TASKS):
        found = [row for row in rows if row["method"] == name and row["seed"] in plain]
        if not found:
            continue
        pairs = [(plain[row["seed"]], row) for row in found]
        gains = [interval([accuracy(b, w) - accuracy(a, w) for a, b in pairs]) for w in CONTESTANTS]
        cost = fmean(b["seconds"] / a["seconds"] for a, b in pairs)
        published = METHODS[name].published if name in METHODS else "-"
        cells = [name, str(len(pairs)), *gains, f"{cost:.1f} ×", published]
        print(f"| {' | '.join(cells)} |")


def accuracy(row: Row, contestant: str) -> float:
    """An accuracy in per cent."""
    found = row["accuracy"]
    return fmean(found[name] for name in ENCODERS) if contestant == "member" else found[contestant]


def interval(gains: Sequence[float]) -> str:
    """Mean and, from three seeds, 95 % interval by Student's t, in bold where it excludes zero."""
    mean = fmean(gains)
    if len(gains) < 3:
        return f"{mean:+.2f}"
    half = t.ppf(0.975, len(gains) - 1) * stdev(gains) / len(gains) ** 0.5
    text = f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"
    return f"**{text}**" if abs(mean) > half else text
