"""A text encoder trained on texts and labels, with scikit-learn's methods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from ensemble.training.options import TrainingOptions
from ensemble.training.text.batches import TokenBatches
from ensemble.training.text.encoders import BidirectionalGRU, TextCNN, TextEncoder, Transformer
from ensemble.training.text.pretraining import pretrain
from ensemble.training.text.tasks import TASKS, Task
from ensemble.training.text.vocabulary import PADDING, Vocabulary, check_texts
from ensemble.training.trainer import DevilsAdvocateTrainer
from ensemble.training.virtual_augmentation import VirtualAugmentation
from postproc.scores.checks import check_choice, check_count, check_number, fail

Encoder = Literal["cnn", "gru", "transformer"]
ENCODERS: dict[str, Callable[..., TextEncoder]] = {
    "cnn": TextCNN,
    "gru": BidirectionalGRU,
    "transformer": Transformer,
}


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """A small text encoder, trained from scratch.

    Validation rows, or a share of the rows where there are none, say when to stop: after `patience`
    epochs without progress of their log-loss after temperature scaling. The epoch with the least is
    kept.

    Parameters
    ----------
    encoder : {"cnn", "gru", "transformer"}
        A text CNN, a bidirectional GRU or a transformer of one layer.
    options : TrainingOptions, optional
        How it is trained; plainly if not given. The parameters of the embeddings match
        ``"embedding.*"``; ``lambda module, inputs: module.represent(inputs)`` represents texts.
    pretraining : str, optional
        Task on the words of the texts that the encoder learns first: "shuffle", "random",
        "shuffle-random", "token-type", "first-character" or "masked".
    virtual_augmentation : float, optional
        Weight >= 0 of virtual data augmentation by a masked language model, a second encoder of the
        same kind that is trained on the texts first.
    pretrain_epochs : int
        Epochs >= 1 of the pre-training, and of the masked language model.
    epochs, patience : int
        Most epochs, and epochs without progress that end the training, >= 1.
    batch_size : int
        Rows >= 1 of a batch.
    learning_rate : float
        Step > 0 of Adam.
    inner : float
        Share of the rows, in (0, .5], that say when to stop where there are no validation rows; one
        of each class at least where it has two.
    length : int
        Words >= 1 of a text that are read.
    snapshots : bool
        Keep a classifier of every epoch's end.
    progress : callable, optional
        Called after each epoch with its number and the log-loss on the rows that say when to stop.
    seed : int
        Seed of everything random.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The labels.
    module_ : TextEncoder
        The trained encoder.
    vocabulary_ : Vocabulary
        The words that it knows.
    log_losses_ : list of float
        Their log-loss after temperature scaling, before each epoch and after the last.
    best_epoch_ : int
        The epoch that is kept; 0 is the start.
    snapshots_ : list of TextClassifier
        With `snapshots`, the classifier at the end of every epoch.
    """

    def __init__(
        self,
        encoder: Encoder = "cnn",
        *,
        options: TrainingOptions | None = None,
        pretraining: Task | None = None,
        virtual_augmentation: float | None = None,
        pretrain_epochs: int = 5,
        epochs: int = 20,
        patience: int = 3,
        batch_size: int = 64,
        learning_rate: float = 5e-3,
        inner: float = 0.1,
        length: int = 64,
        snapshots: bool = False,
        progress: Callable[[int, float], None] | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder = encoder
        self.options = options
        self.pretraining = pretraining
        self.virtual_augmentation = virtual_augmentation
        self.pretrain_epochs = pretrain_epochs
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.inner = inner
        self.length = length
        self.snapshots = snapshots
        self.progress = progress
        self.seed = seed

    def fit(
        self,
        texts: Sequence[str],
        y: Any,
        unlabelled: Sequence[str] = (),
        *,
        valid: tuple[Sequence[str], Any] | None = None,
    ) -> Self:
        """Learn vocabulary and weights.

        Parameters
        ----------
        texts : sequence of n str
            Texts.
        y : array-like of shape (n,)
            Labels of two or more classes.
        unlabelled : sequence of str
            More texts for the vocabulary and for the pre-training.
        valid : pair of a sequence of str and an array-like, optional
            Texts and labels that say when to stop; those of classes that `y` lacks are left out.

        Raises
        ------
        ValueError
            If an option is not valid, there is one class only, or no row is left to stop by.
        """
        check_choice(self.encoder, "encoder", tuple(ENCODERS))
        if self.pretraining is not None:
            check_choice(self.pretraining, "pretraining", TASKS)
        for name in ("epochs", "patience", "batch_size", "pretrain_epochs", "length"):
            check_count(getattr(self, name), name, low=1)
        check_number(self.learning_rate, "learning_rate", low=0.0, open_low=True)
        check_number(self.inner, "inner", low=0.0, high=0.5, open_low=True)
        if self.virtual_augmentation is not None:
            check_number(self.virtual_augmentation, "virtual_augmentation", low=0.0)
            if self.options is not None and self.options.virtual_augmentation is not None:
                rule = "None where `options` have one of their own"
                fail("virtual_augmentation", rule, self.virtual_augmentation)
        texts, unlabelled = check_texts(texts), check_texts(unlabelled, "unlabelled")
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        if len(labels) != len(texts):
            fail("y", f"as long as `texts` ({len(texts)})", f"{len(labels)} labels")
        if len(self.classes_) < 2:
            fail("y", "labels of two classes or more", f"{len(self.classes_)}")
        self.vocabulary_ = Vocabulary.of([*texts, *unlabelled], length=self.length)
        tokens = self.vocabulary_.encode(texts)
        if valid is None:
            inner = inner_rows(labels, self.inner, self.seed)
            if not inner.any():
                fail("y", "labels with two rows or more of some class", "one row a class")
            judged = TokenBatches(tokens[inner], torch.as_tensor(labels[inner]), 512)
            tokens, labels = tokens[~inner], labels[~inner]
        else:
            judged = self._valid(*valid)
        train = TokenBatches(tokens, torch.as_tensor(labels), self.batch_size, shuffle=True)
        options = TrainingOptions() if self.options is None else self.options
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            module = self._encoder()
            if self.pretraining is not None or self.virtual_augmentation is not None:
                everything = self.vocabulary_.encode([*texts, *unlabelled])
            if self.pretraining is not None:
                self._pretrain(module, everything, self.pretraining)
            if self.virtual_augmentation is not None:
                speaker = self._encoder()
                virtual = VirtualAugmentation(
                    self._pretrain(speaker, everything, "masked"),
                    "embedding.weight",
                    _classify,
                    weight=self.virtual_augmentation,
                )
                options = replace(options, virtual_augmentation=virtual)
        self._train(module, options, train, judged)
        return self

    def decision_function(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logits, shape (n, C).

        Parameters
        ----------
        texts : sequence of n str
            Texts.
        """
        tokens = self.vocabulary_.encode(texts)
        batches = TokenBatches(tokens, torch.arange(len(tokens)), 512)
        logits = np.empty((len(tokens), len(self.classes_)), np.float32)
        with torch.no_grad():
            for batch, rows in batches:
                logits[rows.numpy()] = self.module_(batch).numpy()
        return logits

    def predict(self, texts: Sequence[str]) -> NDArray[Any]:
        """Labels of the highest logits, shape (n,).

        Parameters
        ----------
        texts : sequence of n str
            Texts.
        """
        return np.asarray(self.classes_[self.decision_function(texts).argmax(axis=1)])

    def _valid(self, texts: Sequence[str], y: Any) -> TokenBatches:
        """Rows that say when to stop, of the classes that are known."""
        tokens = self.vocabulary_.encode(check_texts(texts, "valid[0]"))
        labels = np.asarray(y)
        if labels.shape != (len(tokens),):
            got = f"labels of shape {labels.shape}"
            fail("valid", f"as many labels as texts ({len(tokens)})", got)
        known = np.isin(labels, self.classes_)
        if not known.any():
            fail("valid", "labels of which some are in `y`", "none of them")
        numbers = torch.as_tensor(np.searchsorted(self.classes_, labels[known]))
        return TokenBatches(tokens[torch.as_tensor(known)], numbers, 512)

    def _encoder(self) -> TextEncoder:
        sizes = {"length": self.length} if self.encoder == "transformer" else {}
        return ENCODERS[self.encoder](len(self.vocabulary_), len(self.classes_), **sizes)

    def _pretrain(
        self, module: TextEncoder, tokens: torch.Tensor, task: Task
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        return pretrain(
            module,
            tokens,
            self.vocabulary_,
            task,
            epochs=self.pretrain_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )

    def _train(
        self,
        module: TextEncoder,
        options: TrainingOptions,
        train: TokenBatches,
        judged: TokenBatches,
    ) -> None:
        self.snapshots_: list[Self] = []

        def after(_: str, epoch: int, losses: list[float]) -> None:
            if self.snapshots:
                snapshot = copy.copy(self)
                snapshot.module_, snapshot.snapshots_ = copy.deepcopy(module).eval(), []
                self.snapshots_.append(snapshot)
            if self.progress is not None:
                self.progress(epoch, losses[0])

        trainer = DevilsAdvocateTrainer(
            [module],
            None,
            pretrain_epochs=self.epochs,
            discussion_epochs=0,
            patience=self.patience,
            calibrated=True,
            optimizer=lambda parameters: torch.optim.Adam(
                parameters, self.learning_rate, fused=True
            ),
            progress=after,
            options=options,
            seed=self.seed,
        ).fit(train, judged)
        self.log_losses_ = [losses[0] for losses in trainer.history_["pretraining"]]
        self.best_epoch_ = int(np.argmin(self.log_losses_))
        self.module_ = module.eval()


def _classify(module: TextEncoder, embeddings: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Logits (b, C) of embeddings of words (b, L, d), without those beyond a text's end."""
    return module(embeddings * (tokens != PADDING)[:, :, None])


def inner_rows(y: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows say when to stop, shape (n,): a share of each class, one at least of two rows."""
    counts = np.bincount(y)
    wanted = np.where(counts > 1, np.maximum(1, np.rint(share * counts)), 0)
    order = np.lexsort((np.random.default_rng(seed).random(len(y)), y))
    rank = np.empty(len(y), np.int64)
    rank[order] = np.arange(len(y)) - (np.cumsum(counts) - counts)[y[order]]
    return rank < wanted[y]
