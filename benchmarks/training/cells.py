"""Cells of the grid: three members of a task trained by one method, and what is made of them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ensemble
from benchmarks.gains.scores import Floats
from benchmarks.training.methods import classifier_settings
from benchmarks.training.tasks import NOISE, SHOTS, Texts, load, synthetic, varied
from ensemble.training.text import TextClassifier
from ensemble.training.text.tasks import TASKS

ENCODERS = ("cnn", "gru", "transformer")

#: Epochs at most, and rows of a batch, of many rows and of few; step of Adam.
EPOCHS, BATCH, LEARNING_RATE = {False: 5, True: 15}, {False: 128, True: 64}, 1e-2

#: Epochs of the pre-training.
PRETRAIN_EPOCHS = 2

#: Words of a text that are read.
LENGTH = 32


@dataclass(frozen=True)
class Cell:
    """One task, its noise and shots, one seed, one method."""

    task: str
    few: bool
    noisy: bool
    seed: int
    method: str


def prepare() -> None:
    """Ready a process: one thread, and what torch loads when the first optimizer is made."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def run(cell: Cell, folder: Path | None) -> dict[str, Any]:
    """Accuracies in per cent on the test rows, and processor seconds."""
    task = varied(
        _task(folder, cell.task),
        shots=SHOTS if cell.few else None,
        noise=NOISE if cell.noisy else 0.0,
        seed=cell.seed,
    )
    seconds, scores = {}, {}
    for encoder in ENCODERS:
        begin = time.process_time()
        classifier = _trained(encoder, cell, task)
        seconds[encoder] = time.process_time() - begin
        scores[encoder] = [_logits(classifier, task, split) for split in ("val", "test")]
    y, target = task.labels["val"], task.labels["test"]
    val, test = ([scores[encoder][at] for encoder in ENCODERS] for at in (0, 1))
    accuracies = {
        encoder: _accuracy(scores[encoder][1].argmax(axis=1), target) for encoder in ENCODERS
    }
    devil = ensemble.DevilsAdvocate(
        head="bias", discussion_weight=1.0, epochs=8, seeds=1, seed=cell.seed
    )
    for name, model in (("weights", ensemble.LearnedLogPool()), ("devil", devil)):
        accuracies[name] = _accuracy(np.asarray(model.fit(val, y).predict(test)), target)
    return {**asdict(cell), "accuracy": accuracies, "seconds": sum(seconds.values())}


@cache
def _task(folder: Path | None, name: str) -> Texts:
    return synthetic() if folder is None else load(folder, name)


def _trained(encoder: str, cell: Cell, task: Texts) -> TextClassifier:
    words = [] if cell.method in ("plain", *TASKS) else [cell.method]
    settings = classifier_settings(words, cell.method if cell.method in TASKS else None)
    batches = settings["options"].accumulate  # of a step, which has as many rows as any
    classifier = TextClassifier(
        encoder,
        epochs=EPOCHS[cell.few],
        pretrain_epochs=PRETRAIN_EPOCHS,
        batch_size=BATCH[cell.few] // batches,
        learning_rate=LEARNING_RATE,
        length=LENGTH,
        seed=cell.seed,
        **settings,
    )
    unlabelled = task.unlabelled if classifier.pretraining and cell.few else []
    valid = (task.texts["stop"], task.labels["stop"])
    return classifier.fit(task.texts["train"], task.labels["train"], unlabelled, valid=valid)


def _logits(classifier: TextClassifier, task: Texts, split: str) -> Floats:
    """Logits of all classes; one that noise left without a training row has the least."""
    found = classifier.decision_function(task.texts[split])
    logits = np.repeat(found.min(axis=1, keepdims=True), task.n_classes, axis=1)
    logits[:, classifier.classes_] = found
    return logits


def _accuracy(predicted: Any, y: Any) -> float:
    return round(100 * float(np.mean(predicted == y)), 3)
