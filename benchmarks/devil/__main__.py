"""Every contestant on run directories: python -m benchmarks.devil RUNDIR... [--seeds 5]."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

import ensemble
from ensemble.devil.estimator import FULL, LOG, NO_DEVIL, NORM, PLAIN, SOFT
from postproc.evaluation.paired import compare
from postproc.files import RunDirectory

CALIBRATED, LEARNED = "calibrated soft vote", "learned log pool"
COLUMNS = (SOFT, LOG, CALIBRATED, LEARNED, PLAIN, NO_DEVIL, NORM, FULL)


class Task:
    """Results of one run directory: predicted classes of every contestant for every seed."""

    def __init__(self, folder: Path, seeds: Sequence[int]) -> None:
        run = RunDirectory.open(folder)
        fit, self.labels = ensemble.align_members(run.predictions("val")), run.labels("test")
        y = run.labels("val")
        target = ensemble.align_members(run.predictions("test"))
        self.name = folder.name
        fixed = {
            CALIBRATED: np.asarray(ensemble.CalibratedVoting().fit(fit, y).predict(target)),
            LEARNED: np.asarray(ensemble.LearnedLogPool().fit(fit, y).predict(target)),
        }
        self.runs: list[dict[str, NDArray[np.int64]]] = []
        self.choices: list[str] = []
        self.weights: list[float] = []
        self.seconds: list[float] = []
        for seed in seeds:
            start = time.process_time()
            model = ensemble.DevilsAdvocate(controls=True, seed=seed).fit(fit, y)
            self.seconds.append(time.process_time() - start)
            found = model.contestants(target)
            self.runs.append(fixed | {name: p.argmax(axis=1) for name, p in found.items()})
            self.choices.append(f"{model.head_} {model.discussion_weight_:g}")
            self.weights.append(model.devil_weight_)

    def accuracy(self, name: str) -> list[float]:
        """Accuracy of a contestant for each seed, in per cent."""
        return [100 * float(np.mean(run[name] == self.labels)) for run in self.runs]

    def gain(self, base: str, new: str) -> str:
        """Mean gain over the seeds in points, and the paired interval of the first seed."""
        compared = [compare(run[base], run[new], self.labels) for run in self.runs]
        low, high = compared[0].gain_ci
        mean = fmean(c.gain for c in compared)
        return f"{100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUNDIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the accuracies here")
    given = parser.parse_args()
    heading = ["task", *COLUMNS, "spread", "devil's share", "against calibrated", "w", "head λ"]
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    tasks = []
    for folder in given.folders:
        task = Task(folder, range(given.seeds))
        tasks.append(task)
        cells = [f"{fmean(task.accuracy(name)):.2f}" for name in COLUMNS]
        spread = f"{min(task.accuracy(FULL)):.2f} to {max(task.accuracy(FULL)):.2f}"
        shares = task.gain(NO_DEVIL, FULL), task.gain(CALIBRATED, FULL)
        weights = f"{min(task.weights):.2f} to {max(task.weights):.2f}"
        chosen = ", ".join(sorted(set(task.choices)))
        row = [task.name, *cells, spread, *shares, weights, chosen]
        print(f"| {' | '.join(row)} |", flush=True)
    means = [f"{fmean(fmean(task.accuracy(name)) for task in tasks):.2f}" for name in COLUMNS]
    share = fmean(fmean(task.accuracy(FULL)) - fmean(task.accuracy(NO_DEVIL)) for task in tasks)
    print(f"| mean | {' | '.join(means)} | | {share:+.2f} | | | |")
    seconds = fmean(fmean(task.seconds) for task in tasks)
    print(f"\nprocessor seconds of one fit with both controls, mean: {seconds:.1f}")
    if given.json is not None:
        content = {task.name: {name: task.accuracy(name) for name in COLUMNS} for task in tasks}
        given.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
