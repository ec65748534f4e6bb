"""Out-of-fold predictions of the rows fitted to, written beside the output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cli.messages import note_written, noting
from cli.task.output import lost_ids, output_like
from cli.task.runner import Runner
from ensemble import Members, out_of_fold
from postproc.files.saving import save_blocks
from postproc.scores.arrays import as_numpy
from postproc.scores.predictions import Predictions


@dataclass(frozen=True)
class CrossFitted:
    """Out-of-fold predictions, to be written once the output itself is."""

    path: Path
    like: Predictions  # the rows of --fit, whose names and form they get
    values: NDArray[Any]
    labels: NDArray[Any]
    groups: NDArray[Any] | None
    warnings: list[str]

    def write(self, runner: Runner) -> Predictions:
        """Write the file, and load it for a report."""
        form = output_like(self.path, self.like)
        save_blocks(
            form.path,
            [self.values.reshape(form.shape)],
            shape=form.shape,
            dtype=self.values.dtype,
            classes=form.classes,
            ids=form.ids,
            flat=form.flat,
            id_heading=form.id_heading,
            overwrite=runner.outputs.overwrite,
        )
        note_written(form.path)
        return runner.load_written(form, self.like)


def cross_fit(
    estimator: Any, members: Members, labels: Any, groups: NDArray[Any] | None, runner: Runner
) -> CrossFitted | None:
    """Fit an estimator, which has been fitted to all rows, fold by fold; None without --oof."""
    path, said = runner.outputs.oof, list[str]()
    if path is None:
        return None
    with noting(said):
        seed = runner.running.seed
        values = as_numpy(out_of_fold(estimator, members, labels, groups=groups, seed=seed))
    said += lost_ids(members.ids, path)
    return CrossFitted(path, members[0], values, labels, groups, said)
