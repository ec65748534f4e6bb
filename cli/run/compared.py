"""Models of prediction files, compared on the same labelled rows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cli.messages import echo, note_written, print_json, print_report_tables, refuse, warn
from cli.options import Judging
from cli.run.shown import Shown
from cli.task.doubts import report_doubts
from cli.task.judging import judging_of, only_ranks
from cli.task.load import Report, compare
from cli.task.members import load_target, load_target_labels, member_names
from cli.task.runner import Runner
from ensemble import align_members, pairwise_diversity
from ensemble.diversity import Diversity
from postproc.files import atomic_path
from postproc.files.paths import file_and_column
from postproc.files.rundir import RunDirectory
from postproc.reports.text import to_markdown
from postproc.scores.predictions import Predictions


def compare_files(
    paths: Sequence[str],
    run: RunDirectory | None,
    baseline: str | None,
    judging: Judging,
    shown: Shown,
    runner: Runner,
) -> None:
    """Compare files, or the test split of a run directory; print and write the report."""
    models, labels = _load(paths, run, baseline, runner, any_scale=only_ranks(judging))
    classes = next((m.classes for m in models.values() if m.classes is not None), None)
    how = judging_of(judging, [*models.values()], classes, runner)
    found = compare(models, labels, classes, runner, **how)
    doubts = report_doubts(found, {} if run is not None else _turned(paths, models))
    warn(doubts, quiet=runner.running.quiet)
    diversity = None
    if shown.diversity:
        if len(models) == 1:
            refuse("--diversity needs two models or more")
        diversity = pairwise_diversity(align_members([*models.values()], classes=classes), labels)
    if shown.html is not None:
        page = found.to_html(title=shown.title)
        with atomic_path(shown.html, overwrite=runner.outputs.overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")
        note_written(shown.html)
    _print(found, diversity, doubts, shown, runner)


def _load(
    paths: Sequence[str],
    run: RunDirectory | None,
    baseline: str | None,
    runner: Runner,
    *,
    any_scale: bool,
) -> tuple[dict[str, Predictions], NDArray[Any]]:
    """Load predictions, the baseline's first, and labels in the order of its rows."""
    names = member_names(paths) if run is None else list(run.models)
    target = load_target(paths, names, run, runner, predicted_labels=True, any_scale=any_scale)
    loaded = [one.streamed() for one in target]
    loaded.insert(0, loaded.pop(_position(baseline, [one.name for one in loaded], paths)))
    labels = load_target_labels(loaded, run, runner)
    if labels is None:
        refuse(f"Missing option '--labels': {paths[0]} has no labels of its test split.")
    return {model.name: model for model in loaded}, labels


def _turned(paths: Sequence[str], models: Mapping[str, Predictions]) -> dict[str, str]:
    """What names the column of each model, where it has a name, as the score of the other class."""
    if len(paths) != len(models):
        return {}
    pairs = (
        (name, *file_and_column(path))
        for name, path in zip(member_names(paths), paths, strict=True)
    )
    return {
        name: shlex.quote(f"{file}:-{models[name].heading}")
        for name, file, column in pairs
        if models[name].heading and not (column or "").startswith("-")
    }


def _position(baseline: str | None, names: Sequence[str], paths: Sequence[str]) -> int:
    if baseline is None:
        return 0
    for known in (names, paths):
        if baseline in known and len(known) == len(names):
            return known.index(baseline)
    return refuse(f"must be one of {', '.join(names)}, got {baseline}", "--baseline")


def _print(
    found: Report, diversity: Diversity | None, doubts: list[str], shown: Shown, runner: Runner
) -> None:
    """Print JSON, CSV, Markdown or tables."""
    if runner.outputs.as_json:
        result = {**found.to_dict(per_class=shown.per_class), "warnings": doubts}
        print_json(result if diversity is None else {**result, "diversity": diversity.to_dict()})
        return
    if shown.as_csv:
        echo(found.to_csv(), nl=False)
        return
    contents = found.tables(per_class=shown.per_class)
    if diversity is not None:
        contents.append(diversity.to_table())
    if shown.as_markdown:
        echo(to_markdown(contents), nl=False)
    elif not runner.running.quiet:
        print_report_tables(contents, width=100)
        if shown.html is not None:
            echo(f"written: {shown.html}")
