"""From a data set to predictions: split, spoil labels, train, score."""

from __future__ import annotations

import math
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata, util
from typing import Any

import numpy as np

from benchmarks.gains.classifiers import TABLE_MODELS, Model, Setting
from benchmarks.gains.datasets import Dataset
from benchmarks.gains.folder import MAKER, Task
from benchmarks.gains.scores import Floats, Ints, class_scores, out_of_fold_scores
from benchmarks.gains.splits import (
    SPLITS,
    SplitPlan,
    add_noise,
    draw_rows,
    split_rows,
    training_folds,
)
from benchmarks.gains.text_classifiers import TEXT_MODELS
from postproc.scores.checks import fail
from postproc.scores.threads import one_blas_thread

Say = Callable[[str], None]

#: Test rows below which the remark on the standard error is made.
FEW_TEST_ROWS = 1000
LEAKAGE = (
    "models saw training rows only; validation rows chose nothing but the epoch of small text "
    "encoders, test rows nothing; settings are fixed"
)
UNSEEN = "a class that a model's training rows lack has probability 0, or the row's lowest logit"


@dataclass(frozen=True)
class Options:
    """What is done to a data set.

    Attributes
    ----------
    plan : SplitPlan
        Shares and numbers of rows, and the seed of everything.
    rows : int or None
        Most rows of each official split, or of all rows where there is none.
    label_noise : float
        Share of labels that are made wrong.
    noisy_splits : tuple of str
        Where.
    folds : int or None
        Folds of out-of-fold scores, None for no such scores.
    embedding : str
        Sentence encoder.
    """

    plan: SplitPlan = field(default_factory=SplitPlan)
    rows: int | None = None
    label_noise: float = 0.0
    noisy_splits: tuple[str, ...] = ("train",)
    folds: int | None = None
    embedding: str = ""


def choose_models(
    kind: str, names: Sequence[str] | None = None, models: Mapping[str, Model] | None = None
) -> dict[str, Model]:
    """Models for texts or tables, or those given; all, or those named.

    Raises
    ------
    ValueError
        If a name is not one of theirs.
    """
    if models is None:
        models = TEXT_MODELS if kind == "text" else TABLE_MODELS
    for name in names or ():
        if name not in models:
            fail("--models", f"some of {', '.join(models)} for a {kind} data set", repr(name))
    return {name: models[name] for name in models if names is None or name in names}


def make_task(
    dataset: Dataset,
    models: Mapping[str, Model],
    options: Options,
    *,
    asked: bool = True,
    say: Say = lambda line: None,
) -> Task:
    """Split a data set, train the models on its training rows and score the others.

    Parameters
    ----------
    dataset : Dataset
        n rows of C classes.
    models : mapping of str to Model
        What to train.
    options : Options
        How the rows are split, and what is done to labels.
    asked : bool
        The models were asked for by name: one that cannot be had is an error, else it is left out.
    say : callable
        Takes progress and remarks, a line each.

    Returns
    -------
    Task
        Scores, labels and what is to be known of them.

    Raises
    ------
    ImportError
        If a package that a model needs is not installed.
    ValueError
        If classes have too few rows, or a model cannot be trained.
    """
    seed, remarks = options.plan.seed, list(dataset.remarks)
    dataset = _fewer_rows(dataset, options, remarks)
    rows, kept, lost = split_rows(dataset.y, dataset.classes, dataset.splits, options.plan)
    remarks += lost
    classes = tuple(dataset.classes[j] for j in kept)
    clean = {split: np.searchsorted(kept, dataset.y[rows[split]]) for split in SPLITS}
    labels = dict(clean)
    if options.label_noise:
        for stream, split in enumerate(SPLITS):
            if split in options.noisy_splits:
                labels[split] = add_noise(
                    clean[split], options.label_noise, len(classes), seed, stream
                )
    remarks += _remarks(labels, clean, options, len(classes))
    for remark in remarks:
        say(f"{dataset.name}: {remark}")
    x = {split: dataset.x[rows[split]] for split in SPLITS}
    setting = Setting(
        rows=len(rows["train"]),
        classes=len(classes),
        seed=seed,
        columns=dataset.x.shape[1] if dataset.x.ndim == 2 else 0,
        categorical=dataset.categorical,
        embedding=options.embedding,
        valid=(x["val"], labels["val"]),
    )
    folds = None
    if options.folds is not None:
        folds = training_folds(labels["train"], options.folds, seed)
    scores: dict[tuple[str, str], Floats] = {}
    entries: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        hindrance = _hindrance(name, model, setting)
        if hindrance and asked and model.needs:
            raise ImportError(hindrance)
        if hindrance:
            remarks.append(hindrance)
            say(f"{dataset.name}: {hindrance}")
            continue
        say(f"{dataset.name}: training {name} on {setting.rows} rows, {len(classes)} classes")
        try:
            made, said = _train(name, model, setting, x, labels["train"], folds)
        except (ValueError, OSError) as error:
            reason = f"{name} cannot be trained: {' '.join(str(error).split())}"
            if asked or not isinstance(error, OSError):
                raise ValueError(reason) from error
            remarks.append(f"left out: {reason}")
            say(f"{dataset.name}: {remarks[-1]}")
            continue
        for line in said:
            say(f"{dataset.name}: {name}: {line}")
        for member, values in made.items():
            entries[member] = _entry(model, values, labels, said)
            scores |= {(member, split): found for split, found in values.items()}
    if not entries:
        fail("--models", "models that can be trained here", "none", "; ".join(remarks))
    meta = _meta(dataset, options, classes, labels, entries, remarks)
    spoilt = {s: clean[s] for s in SPLITS if labels[s] is not clean[s]}
    return Task(scores, labels, spoilt, classes, meta)


def _fewer_rows(dataset: Dataset, options: Options, remarks: list[str]) -> Dataset:
    if options.rows is None:
        return dataset
    splits = dataset.splits if dataset.splits is not None else np.full(len(dataset.y), "all")
    drawn = []
    for split in np.unique(splits):
        inside = np.flatnonzero(splits == split)
        drawn.append(inside[draw_rows(dataset.y[inside], options.rows, options.plan.seed)])
    rows = np.sort(np.concatenate(drawn))
    if len(rows) == len(dataset.y):
        return dataset
    remarks.append(f"{len(rows)} of {len(dataset.y)} rows are used, drawn class by class (--rows)")
    return replace(
        dataset,
        x=dataset.x[rows],
        y=dataset.y[rows],
        splits=None if dataset.splits is None else splits[rows],
    )


def _remarks(
    labels: Mapping[str, Ints], clean: Mapping[str, Ints], options: Options, n_classes: int
) -> list[str]:
    remarks = []
    counts = np.bincount(labels["train"], minlength=n_classes)
    if (counts > 0).sum() < 2:
        fail("the training labels", "of two classes or more", "one class only after --label-noise")
    absent = int((counts == 0).sum())
    if absent:
        remarks.append(f"label noise leaves no training row for {absent} classes; {UNSEEN}")
    lone = int((counts == 1).sum())
    if options.folds is not None and counts.max() == 1:
        got = "one a class"
        fail("--out-of-fold", "asked for with two or more training rows in some class", got)
    if options.folds is not None and lone:
        remarks.append(
            f"{lone} classes have one training row, whose out-of-fold model lacks the class"
        )
    for split in SPLITS:
        if labels[split] is not clean[split]:
            wrong = int((labels[split] != clean[split]).sum())
            remarks.append(f"{wrong} of {len(labels[split])} labels of {split} are made wrong")
    n_test = len(labels["test"])
    if n_test < FEW_TEST_ROWS:
        error = 100 * math.sqrt(0.9 * 0.1 / n_test)
        remarks.append(
            f"{n_test} test rows: the standard error of an accuracy of 90 % is {error:.1f} points"
        )
    return remarks


def _hindrance(name: str, model: Model, setting: Setting) -> str:
    """Why a model cannot be trained here, empty if it can."""
    if model.needs is not None and util.find_spec(model.needs) is None:
        package = model.needs.replace("_", "-")
        return f"{name} is left out: {package} is not installed (pip install {package})"
    if model.most_rows is not None and setting.rows > model.most_rows:
        return f"{name} is left out: {setting.rows} training rows, more than {model.most_rows}"
    return ""


def _train(
    name: str, model: Model, setting: Setting, x: Mapping[str, Any], y: Ints, folds: Ints | None
) -> tuple[dict[str, dict[str, Floats]], list[str]]:
    """Scores of every split that is wanted, by member; and what the training warned of.

    Members are the model and, where it keeps them, what it was at the end of other epochs.
    """

    def build(rows: int) -> Any:
        return model.build(replace(setting, rows=rows))

    with warnings.catch_warnings(record=True) as caught, one_blas_thread():
        warnings.simplefilter("always")
        classifier = build(setting.rows).fit(x["train"], y)
        members = {name: classifier}
        for epoch, snapshot in enumerate(getattr(classifier, "snapshots_", []), 1):
            if epoch != classifier.best_epoch_:
                members[f"{name}_epoch{epoch}"] = snapshot
        made = {
            member: {
                split: class_scores(one, x[split], setting.classes, model.output)
                for split in ("val", "test")
            }
            for member, one in members.items()
        }
        if folds is not None:
            made[name]["train"] = out_of_fold_scores(
                build, x["train"], y, folds, setting.classes, model.output
            )
    said = [str(warning.message).strip().partition("\n")[0] for warning in caught]
    return made, list(dict.fromkeys(said))


def _entry(
    model: Model, made: Mapping[str, Floats], labels: Mapping[str, Ints], said: list[str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "description": model.description,
        "kind": "probs" if model.output == "predict_proba" else "logits",
    }
    for split, key in (("train", "train_oof"), ("val", "val"), ("test", "test")):
        if split in made:
            right = made[split].argmax(axis=1) == labels[split]
            entry[f"{key}_accuracy"] = round(float(right.mean()), 6)
    if said:
        entry["warnings"] = said
    return entry


def _meta(
    dataset: Dataset,
    options: Options,
    classes: Sequence[str],
    labels: Mapping[str, Ints],
    entries: Mapping[str, Any],
    remarks: Sequence[str],
) -> dict[str, Any]:
    plan = options.plan
    packages = ["numpy", "scipy", "scikit-learn"]
    packages += [p for p in ("pandas",) if dataset.source.startswith("OpenML")]
    packages += [p for p in ("datasets",) if dataset.source.startswith("Hugging Face")]
    packages += [p for p in ("sentence-transformers",) if "embedding_logistic" in entries]
    packages += [p for p in ("torch",) if {"cnn", "gru", "transformer"} & entries.keys()]
    return {
        "name": dataset.name,
        "made_by": MAKER,
        "command": "",
        "source": dataset.source,
        "licence": dataset.licence,
        "note": dataset.note,
        "classes": len(classes),
        "sizes": {split: len(labels[split]) for split in SPLITS},
        "class_counts": {
            split: np.bincount(labels[split], minlength=len(classes)).tolist() for split in SPLITS
        },
        "official_splits": []
        if dataset.splits is None
        else [split for split in SPLITS if split in dataset.splits],
        "seed": plan.seed,
        "shots": plan.shots,
        "val_shots": plan.val_shots,
        "val_share": plan.val,
        "test_share": plan.test,
        "rows": options.rows,
        "label_noise": options.label_noise,
        "noisy_splits": list(options.noisy_splits) if options.label_noise else [],
        "folds": options.folds,
        "train_files": "no <model>.train.npy"
        if options.folds is None
        else f"<model>.train.npy: out-of-fold scores, {options.folds} stratified folds; "
        "val and test scores come from a model of all training rows",
        "unseen_classes": UNSEEN,
        "leakage": LEAKAGE,
        "remarks": list(remarks),
        "models": dict(entries),
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in packages},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
