"""What a command has done: saved, warned about and printed in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.messages import echo, note_written, print_json, warn
from cli.task.load import Report
from cli.task.runner import Runner
from postproc.scores.predictions import Predictions


@dataclass(frozen=True)
class Outcome:
    """A summary as JSON's own types, and how it is shown as text."""

    summary: dict[str, Any]
    show: Callable[[dict[str, Any]], None]  # prints what stands above the report
    report: Report | None = None
    remarks: Sequence[str] = ()  # lines below the report
    held_out: Report | None = None  # of the out-of-fold predictions of --oof


def deliver(outcome: Outcome, runner: Runner) -> dict[str, Any]:
    """Print warnings and the outcome; return the summary."""
    summary, labels = outcome.summary, runner.outputs.labels_out
    if outcome.held_out is not None:
        report = outcome.held_out.to_dict()
        summary["out_of_fold"] = {"output": str(runner.outputs.oof), "report": report}
    if labels is not None:
        summary["labels"] = str(labels)
    warn(summary["warnings"], quiet=runner.running.quiet)
    if runner.outputs.as_json:
        print_json(summary)
    elif not runner.running.quiet:
        outcome.show(summary)
        if outcome.report is not None:
            echo(outcome.report.to_text(), nl=False)
        for line in outcome.remarks:
            echo(line)
        if outcome.held_out is not None:
            echo("Out of fold, on the rows of --fit:")
            if outcome.held_out.groups is not None:
                echo(
                    "No group is divided here. Folds of the fit itself divide groups, so held-out "
                    "figures above may be too good."
                )
            echo(outcome.held_out.to_text(), nl=False)
        if summary.get("saved") is not None:
            from ensemble.saved import arrays_of

            files = arrays_of(Path(summary["saved"]))
            arrays = "".join(f", with its arrays in {file.name}" for file in files)
            echo(f"saved: {summary['saved']}{arrays}")
        echo(f"written: {summary['output']}")
        if outcome.held_out is not None:
            echo(f"out of fold: {runner.outputs.oof}")
        if labels is not None:
            echo(f"labels: {labels}")
    return summary


def size_of(found: Predictions) -> dict[str, Any]:
    """Rows, classes and kind of predictions, as summaries begin with them."""
    return {"rows": found.n_rows, "classes": found.n_classes, "kind": found.kind}


def save(model: Any, runner: Runner, fitted: Sequence[Predictions]) -> str | None:
    """Save a model fitted to some rows if --save asks for it; return its path for the summary."""
    from cli.task.doubts import digest_of
    from ensemble import save_model

    path = runner.outputs.save
    if path is None:
        return None
    digests = [digest_of(member) for member in fitted]
    overwrite = runner.outputs.overwrite
    save_model(model, path, overwrite=overwrite, fitted_rows=digests)
    note_written(path)
    return str(path)
