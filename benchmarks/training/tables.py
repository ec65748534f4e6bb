"""Gains over plain training, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

from benchmarks.training.cells import ENCODERS
from benchmarks.training.methods import METHODS, PUBLISHED_OF_TASKS
from ensemble.training.text.tasks import TASKS

Row = Mapping[str, Any]
Setting = tuple[str, bool, bool]

#: Whose accuracy is shown: the mean member's, the learned ensemble's, the Devil's Advocate's.
CONTESTANTS = ("member", "weights", "devil")


def print_tables(rows: Sequence[Row]) -> None:
    """Gains of each method in points, of each setting over seeds, then over the settings."""
    settings = sorted({setting_of(row) for row in rows})
    for setting in settings:
        print_table(setting, [row for row in rows if setting_of(row) == setting])
    if len(settings) > 1:
        print_overview(rows)


def print_table(setting: Setting, rows: Sequence[Row]) -> None:
    """The table of one setting: task, ten shots or not, wrong labels or none."""
    plain = [row for row in rows if row["method"] == "plain"]
    if not plain:
        return
    task, few, noisy = setting
    title = f"{task}{', ten shots' if few else ''}{', 20 % wrong labels' if noisy else ''}"
    means = [fmean(accuracy(row, who) for row in plain) for who in CONTESTANTS]
    figures = "plain members {:.2f}, `weights` {:.2f}, devil's advocate {:.2f}".format(*means)
    print(f"\n**{title}**; {figures}\n")
    print("| method | seeds | member | `weights` | devil's advocate | time |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, pairs in pairs_of(rows).items():
        gains = [
            interval([accuracy(b, who) - accuracy(a, who) for a, b in pairs]) for who in CONTESTANTS
        ]
        print(f"| {' | '.join([name, str(len(pairs)), *gains, cost(pairs)])} |")


def print_overview(rows: Sequence[Row]) -> None:
    """The mean of the settings' mean gains, with an interval over the settings."""
    print("\n**All settings**\n")
    print(
        "| method | settings | cells | member | `weights` | devil's advocate | time | published |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, pairs in pairs_of(rows).items():
        settings = sorted({setting_of(b) for _, b in pairs})
        gains = [
            interval(
                [
                    fmean(
                        accuracy(b, who) - accuracy(a, who) for a, b in pairs if setting_of(b) == s
                    )
                    for s in settings
                ]
            )
            for who in CONTESTANTS
        ]
        published = METHODS[name].published if name in METHODS else PUBLISHED_OF_TASKS
        cells = [name, str(len(settings)), str(len(pairs)), *gains, cost(pairs), published]
        print(f"| {' | '.join(cells)} |")


def pairs_of(rows: Sequence[Row]) -> dict[str, list[tuple[Row, Row]]]:
    """Of each method that was run, its cells beside the plain ones of setting and seed."""
    plain = {(setting_of(row), row["seed"]): row for row in rows if row["method"] == "plain"}
    found = {
        name: [
            (plain[setting_of(row), row["seed"]], row)
            for row in rows
            if row["method"] == name and (setting_of(row), row["seed"]) in plain
        ]
        for name in (*METHODS, *TASKS)
    }
    return {name: pairs for name, pairs in found.items() if pairs}


def setting_of(row: Row) -> Setting:
    """What a table is of: task, ten shots or not, wrong labels or none."""
    return row["task"], row["few"], row["noisy"]


def cost(pairs: Sequence[tuple[Row, Row]]) -> str:
    """Processor time over that of plain training."""
    return f"{fmean(b['seconds'] / a['seconds'] for a, b in pairs):.1f} ×"


def accuracy(row: Row, contestant: str) -> float:
    """An accuracy in per cent."""
    found = row["accuracy"]
    return fmean(found[name] for name in ENCODERS) if contestant == "member" else found[contestant]


def interval(gains: Sequence[float]) -> str:
    """Mean and, of three or more, 95 % interval by Student's t, in bold where it excludes zero."""
    mean = fmean(gains)
    if len(gains) < 3:
        return f"{mean:+.2f}"
    half = t.ppf(0.975, len(gains) - 1) * stdev(gains) / len(gains) ** 0.5
    text = f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"
    return f"**{text}**" if abs(mean) > half else text
