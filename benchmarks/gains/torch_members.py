"""Small text encoders as classifiers of texts, trained by any of the training methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.gains.classifiers import Model, Setting
from cli.progress import watching
from ensemble.training.text import TextClassifier

ENCODERS = {
    "cnn": "text CNN, words and their neighbours",
    "gru": "bidirectional GRU",
    "transformer": "transformer of one layer",
}


@dataclass(frozen=True)
class _Watched:
    """A classifier whose epochs are shown on stderr while it is fitted."""

    classifier: TextClassifier
    name: str
    valid: tuple[Any, Any] | None

    def fit(self, x: Any, y: Any) -> TextClassifier:
        """Fit the classifier, and give it back without the display."""
        classifier = self.classifier
        with watching(self.name, classifier.epochs, unit="epochs") as advance:
            classifier.set_params(progress=lambda epoch, log_loss: advance(1))
            classifier.fit(x, y, valid=self.valid)
        return classifier.set_params(progress=None)


def torch_models(settings: Mapping[str, Any], said: str) -> dict[str, Model]:
    """Models of texts, by name, with these settings of a classifier, which `said` describes."""

    def build(name: str, setting: Setting) -> _Watched:
        classifier = TextClassifier(name, seed=setting.seed, **settings)
        return _Watched(classifier, name, setting.valid)

    return {
        name: Model(
            f"{what}, trained from scratch{said}; the log-loss on val after temperature scaling "
            "says when to stop; logits",
            "decision_function",
            lambda setting, name=name: build(name, setting),
        )
        for name, what in ENCODERS.items()
    }
