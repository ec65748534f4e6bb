"""Training methods by name, each with settings as published, and what was published of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ensemble.training import Adversarial, ChildTuning, Contrastive, LabelDenoising, TrainingOptions
from postproc.scores.checks import fail

#: What the abstracts say: of child tuning, of two methods against attacks, of the five tasks.
CHILD_TUNING = "GLUE, four models: +1.5 to +8.6"
UNDER_ATTACK = "of texts made to mislead only"
PUBLISHED_OF_TASKS = "GLUE, BERT-base: as hidden words or better"

#: The embeddings of a text encoder.
EMBEDDINGS = "embedding.*"


def represent(module: nn.Module, inputs: Any) -> torch.Tensor:
    """Representations of texts, shape (b, d)."""
    return module.represent(inputs)


@dataclass(frozen=True)
class Method:
    """A way to train: settings from a number, its default, and what was published."""

    settings: Callable[[float], dict[str, Any]]
    number: float = 0.0
    published: str = "-"


METHODS: dict[str, Method] = {
    "fgm": Method(
        lambda radius: {"adversarial": Adversarial(EMBEDDINGS, "fgm", radius)},
        1.0,
        "IMDB: error 7.3 % to 6.2 % (recalled)",
    ),
    "pgd": Method(
        lambda radius: {"adversarial": Adversarial(EMBEDDINGS, "pgd", radius, 0.3, 2)}, 1.0
    ),
    "freelb": Method(
        lambda radius: {"adversarial": Adversarial(EMBEDDINGS, "freelb", radius, 0.3, 2)},
        1.0,
        "GLUE, BERT-base: 78.3 to 79.4",
    ),
    "flooding": Method(lambda level: {"flooding": level}, 0.1),
    "child-free": Method(
        lambda share: {"child_tuning": ChildTuning("free", share)},
        0.3,
        CHILD_TUNING,
    ),
    "child-driven": Method(
        lambda share: {"child_tuning": ChildTuning("driven", share)},
        0.3,
        CHILD_TUNING,
    ),
    "simcse": Method(
        lambda weight: {"contrastive": Contrastive(represent, weight=weight)},
        1.0,
        "similarity of sentences, BERT-base: 76.3 (recalled)",
    ),
    "flooding-auto": Method(lambda _: {"flooding": "auto"}, published=UNDER_ATTACK),
    "lld": Method(lambda weight: {"label_denoising": LabelDenoising(represent, weight)}, 1.0),
    "vda": Method(lambda weight: {"virtual_augmentation": weight}, 1.0, UNDER_ATTACK),
    "accumulate": Method(lambda batches: {"accumulate": int(batches)}, 4),
}


def classifier_settings(words: Sequence[str], pretraining: str | None = None) -> dict[str, Any]:
    """Settings of a `TextClassifier` from names, perhaps with a number: "fgm", "flooding=0.2".

    Raises
    ------
    ValueError
        If a name is unknown, a number is none or not valid, or two names set the same option.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if name not in METHODS:
            fail("--training", f"some of {', '.join(METHODS)}", repr(name))
        number = METHODS[name].number
        if equals:
            try:
                number = float(text)
            except ValueError:
                fail("--training", f"{name} or {name}=NUMBER", repr(word))
        settings = METHODS[name].settings(number)
        if found.keys() & settings.keys():
            fail("--training", "names of different options", ", ".join(words))
        found |= settings
    virtual = found.pop("virtual_augmentation", None)
    return {
        "options": TrainingOptions(**found),
        "virtual_augmentation": virtual,
        "pretraining": pretraining,
    }
