"""Heads on run directories: python -m benchmarks.heads RUNDIR... [--heads ytuning,stack,devil]."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ensemble
from postproc.evaluation.paired import compare
from postproc.files import RunDirectory

HEADS: dict[str, Callable[..., Any]] = {
    "ytuning": ensemble.YTuning,
    "stack": ensemble.Stacking,
    "devil": ensemble.DevilsAdvocate,
}


def main() -> None:
    """Print a row for each head, plainly trained and with `auto`, beside the learned log pool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUNDIR")
    parser.add_argument("--heads", default=",".join(HEADS))
    parser.add_argument("--noise", type=float, default=0.0, help="share of wrong fit labels")
    given = parser.parse_args()
    heading = ["task", "method", "accuracy, %", "gain over `weights`", "log-loss", "s", "used"]
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}", flush=True)
    for folder in given.folders:
        run = RunDirectory.open(folder)
        fit, y = ensemble.align_members(run.predictions("val")), run.labels("val")
        target, labels = ensemble.align_members(run.predictions("test")), run.labels("test")
        rng = np.random.default_rng(0)
        wrong = (y + rng.integers(1, fit.n_classes, len(y))) % fit.n_classes
        y = np.where(rng.random(len(y)) < given.noise, wrong, y)
        models = {"weights": ensemble.LearnedLogPool()}
        for name in given.heads.split(","):
            models |= {name: HEADS[name](), f"{name}, auto": HEADS[name](training="auto")}
        base = None
        for name, model in models.items():
            start = time.process_time()
            model.fit(fit, y)
            seconds = time.process_time() - start
            probs = np.asarray(model.predict_proba(target), dtype=float)
            decided = probs.argmax(axis=1)
            base = decided if base is None else base
            gain = compare(base, decided, labels)
            low, high = (100 * limit for limit in gain.gain_ci)
            true = probs[np.arange(len(labels)), labels]
            loss = -np.log(np.maximum(true, np.finfo(float).tiny)).mean()
            cells = [
                f"{100 * np.mean(decided == labels):.2f}",
                f"{100 * gain.gain:+.2f} [{low:+.2f}, {high:+.2f}]",
                f"{loss:.4f}",
                f"{seconds:.1f}",
                _used(model),
            ]
            print(f"| {folder.name} | {name} | {' | '.join(cells)} |", flush=True)


def _used(model: Any) -> str:
    """Weight of the embeddings, and the training methods that were chosen."""
    said = []
    if isinstance(model, ensemble.YTuning):
        said.append(f"w = {model.label_weight_:.2f}" if model.label_weight_ else "left out")
    said += [f"{name} {value:g}" for name, value in getattr(model, "training_", {}).items()]
    return ", ".join(said)


if __name__ == "__main__":
    main()
