"""Tables of results: Markdown for reading, CSV for further work."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from benchmarks.papers.protocol import Result
from postproc.evaluation.paired import Comparison, holm

#: Family-wise level at which a gain or loss is called real.
LEVEL = 0.05
#: A prior farther from the test labels is wrong; accuracy so far above confidence is doubt.
FAR, DOUBTFUL = 0.05, 0.5
CONDITIONS = {
    (False, False): ("right", "others"),
    (False, True): ("right", "under-confident"),
    (True, False): ("wrong", "others"),
    (True, True): ("wrong", "under-confident"),
}


def markdown(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [heading, ["---"] * len(heading), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def gain_text(comparison: Comparison | None) -> str:
    """Gain in points with its interval, a dash where there is no row."""
    if comparison is None:
        return "-"
    low, high = comparison.gain_ci
    return f"{100 * comparison.gain:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def sign(comparison: Comparison) -> str:
    """`gain`, `loss` or `no change` of the number of right rows."""
    if comparison.fixed == comparison.broken:
        return "no change"
    return "gain" if comparison.fixed > comparison.broken else "loss"


def verdicts(results: Sequence[Result]) -> list[str]:
    """Real gains and losses of one setting: by McNemar's p, corrected by Holm over the members."""
    corrected = holm([r.everything.p_value for r in results])
    return [
        f"real {sign(r.everything)}" if p < LEVEL else "unclear"
        for r, p in zip(results, corrected, strict=True)
    ]


def of_setting(results: Sequence[Result], name: str) -> list[Result]:
    """Results of one setting."""
    return [result for result in results if result.setting == name]


def summary(results: Sequence[Result]) -> str:
    """One line a setting: how many members gained, lost and did not change, and the mean gain."""
    heading = ["setting", "members", "gains", "losses", "no change", "real gains", "real losses"]
    heading += ["losses warned of", "gains warned of", "mean gain", "on ambiguous rows"]
    heading += ["worst", "best"]
    lines = []
    for name in dict.fromkeys(result.setting for result in results):
        own = of_setting(results, name)
        signs, real = Counter(sign(r.everything) for r in own), Counter(verdicts(own))
        warned = Counter(sign(r.everything) for r in own if r.is_warned)
        parts = [r.ambiguous.gain for r in own if r.ambiguous is not None]
        ordered = sorted(own, key=lambda r: r.everything.gain)
        counts = [len(own), signs["gain"], signs["loss"], signs["no change"]]
        counts += [real["real gain"], real["real loss"]]
        counts += [warned["loss"], warned["gain"]]
        lines.append(
            [
                name,
                *map(str, counts),
                f"{100 * fmean(r.everything.gain for r in own):+.2f}",
                f"{100 * fmean(parts):+.2f}" if parts else "-",
                *(
                    f"{100 * r.everything.gain:+.2f} ({r.task}, {r.model})"
                    for r in (ordered[0], ordered[-1])
                ),
            ]
        )
    return markdown(heading, lines)


def by_task(results: Sequence[Result]) -> str:
    """Mean gain in points of every setting on every task, and how wrong the prior is there."""
    tasks = list(dict.fromkeys(result.task for result in results))
    wrong = {result.task: f"{result.prior_distance:.2f}" for result in results}
    lines = [["(prior to test labels: total variation)", *(wrong[task] for task in tasks)]]
    for name in dict.fromkeys(result.setting for result in results):
        own = of_setting(results, name)
        means = [fmean(r.everything.gain for r in own if r.task == task) for task in tasks]
        lines.append([name, *(f"{100 * mean:+.2f}" for mean in means)])
    return markdown(["setting", *tasks], lines)


def by_condition(results: Sequence[Result]) -> str:
    """Gains and losses where the prior is right or not, and by how doubtful the classifier is."""
    heading = ["prior", "classifier", "setting", "members", "gains", "losses", "no change"]
    heading += ["interval above 0", "below 0", "mean gain"]
    lines = []
    for (far, doubtful), (prior, doubt) in CONDITIONS.items():
        for name in dict.fromkeys(result.setting for result in results):
            own = [
                result
                for result in of_setting(results, name)
                if (result.prior_distance > FAR, result.doubt > DOUBTFUL) == (far, doubtful)
            ]
            if not own:
                continue
            signs = Counter(sign(r.everything) for r in own)
            ends = [r.everything.gain_ci for r in own]
            counts = [len(own), signs["gain"], signs["loss"], signs["no change"]]
            counts += [sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)]
            mean = f"{100 * fmean(r.everything.gain for r in own):+.2f}"
            lines.append([prior, doubt, name, *map(str, counts), mean])
    return markdown(heading, lines)


def by_member(results: Sequence[Result], name: str) -> str:
    """One setting in full, a line for each member."""
    own = of_setting(results, name)
    heading = ["task", "model", "C", "α, d, τ", "before", "after", "fixed", "broken"]
    heading += ["gain [95 %]", "p", "verdict", "ambiguous", "before", "gain on these [95 %]"]
    lines = []
    for result, verdict in zip(own, verdicts(own), strict=True):
        whole, part, chosen = result.everything, result.ambiguous, result.options
        lines.append(
            [
                result.task,
                result.model,
                str(result.classes),
                f"{chosen.alpha:g}, {chosen.iterations}, {chosen.threshold:g}" if chosen else "-",
                f"{100 * result.before:.2f}",
                f"{100 * (result.before + whole.gain):.2f}",
                str(whole.fixed),
                str(whole.broken),
                gain_text(whole),
                f"{whole.p_value:.2g}",
                verdict,
                "0" if part is None else f"{part.rows} of {whole.rows}",
                "-" if part is None else f"{100 * result.before_ambiguous:.1f}",
                gain_text(part),
            ]
        )
    return markdown(heading, lines)


def to_csv(results: Sequence[Result]) -> str:
    """Every result in plain numbers, shares as fractions; empty where there is none."""
    return csv_text([_plain(result) for result in results])


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys as the text of a CSV file."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _plain(result: Result) -> dict[str, Any]:
    whole, part, chosen = result.everything, result.ambiguous, result.options
    return {
        "task": result.task,
        "model": result.model,
        "classes": result.classes,
        "setting": result.setting,
        **{
            name: getattr(chosen, name, None)
            for name in ("alpha", "iterations", "top_k", "threshold")
        },
        "rows_confident": result.n_confident,
        "is_warned": result.is_warned,
        "prior_distance": result.prior_distance,
        "doubt": result.doubt,
        "before": result.before,
        "p": whole.p_value,
        "fixed": whole.fixed,
        "broken": whole.broken,
        **_gain("", whole),
        "rows_ambiguous": 0 if part is None else part.rows,
        "before_ambiguous": None if part is None else result.before_ambiguous,
        **_gain("_ambiguous", part),
    }


def _gain(end: str, comparison: Comparison | None) -> dict[str, float | None]:
    names = [f"{name}{end}" for name in ("gain", "low", "high")]
    if comparison is None:
        return dict.fromkeys(names)
    return dict(zip(names, (comparison.gain, *comparison.gain_ci), strict=True))
