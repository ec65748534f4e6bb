"""Devil's Advocate on saved logits: norm models in discussion with a model trained to be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble, Kinds, as_labels
from ensemble.devil.heads import DevilHeads, Matrix, centred, member_features
from ensemble.learned.heads import seen_classes, warn_unseen
from ensemble.members import Members
from ensemble.training.head_methods import LEAST_ROWS, TrainingChoice, check_training
from ensemble.voting import log_pool, soft_vote
from postproc.calibration.features import Calibration
from postproc.evaluation.paired import Comparison, compare
from postproc.reports.report import AccuracyReport, accuracy_report
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_choice, check_count, check_number, fail
from postproc.scores.frames.arguments import takes_frames

if TYPE_CHECKING:
    from ensemble.devil.fit import Trained, Training
    from ensemble.devil.search import Choice

Head = Literal["auto", "bias", "scale-bias", "affine"]
HEADS = ("bias", "scale-bias", "affine")

#: λ that cross-validation chooses from; heads are compared at the first.
DISCUSSION_WEIGHTS = (0.0, 0.1, 1.0)

#: Names of the controls, in the order of reports.
SOFT, LOG = "soft vote", "log pool"
PLAIN, NO_DEVIL, NORM = "plain fine-tuning", "discussion without devil", "norm models alone"
FULL = "devil's advocate"


class DevilsAdvocate(Ensemble):
    r"""Boosting ensemble in which one model dissents, on saved logits.

    Every norm model is a head on its own member's calibrated log-probabilities f_m, an affine map
    that starts as the identity; the devil is an affine map of all of them. The devil is trained
    to be wrong, then the norm models discuss with it,

    .. math:: L_m = \mathrm{CE}(z_m + \mathrm{softmax}(z_0), y)
              + \lambda \, \mathrm{MSE}(z_m, \mathrm{stopgrad}(z_{next(m)})),

    and the vote is :math:`\mathrm{softmax}(\sum_m w_m z_m - w z_0)`. Head, λ and the weights of the
    vote are chosen on out-of-fold outputs, λ = 0, w = 0 and untouched members among them.

    Parameters
    ----------
    head : {"auto", "bias", "scale-bias", "affine"}
        What a norm model learns: a bias for each class, a factor for each class too, or a matrix.
        "auto" chooses by cross-validation, the untouched members among them: they win unless the
        interval of the gain in log-loss lies above zero.
    discussion_weight : float, optional
        λ >= 0, 1 as published; None chooses it by cross-validation.
    devil_weight : float, optional
        w >= 0, 1 as published; 0 leaves the devil out of the vote, None chooses w. With learned
        weights only None and 0 are possible.
    vote : {"learned", "published"}
        Whether the weights w_m >= 0 and w >= 0 are those of the least out-of-fold log-loss, or w_m
        are equal. The published vote is divided by M + w, which does not change who wins.
    negatives : {"expected", "sampled"}
        The devil's loss: its labels drawn anew in each step as published, or their expectation.
    epochs : int
        Most epochs of the discussion, >= 0; the devil has two and a half times as many. With 0
        the norm models are the members and the devil is silent.
    patience : int
        Epochs >= 1 without progress on the inner rows, a fifth of the rows, after which training
        ends. Each norm model keeps its best epoch.
    decay : float
        Strength >= 0 of the weight decay towards the identity.
    seeds : int
        Number >= 1 of trainings that are averaged, with inner rows of their own.
    controls : bool
        Fit the two controls, too: the discussion without the devil, and plain fine-tuning without
        MSE, with the same budget, seeds, stopping and choices.
    training : dict of str to float, "auto" or None
        Training methods of the norm models, each by its strength: "flooding" (the level b), "fgm"
        (the length ε of steps against the inputs), "child_free" or "child_driven" (the share p of
        parameters), "label_denoising" (the weight of its term). "auto" chooses one out of fold, or
        none unless the interval of its gain in log-loss lies above zero.
    n_folds : int
        Number of folds >= 2.
    device : {"cpu", "cuda"}
        Where to train. A fitted ensemble needs NumPy only.
    seed : int
        Seed of everything random.

    Attributes
    ----------
    heads_ : DevilHeads
        Norm models, devil and vote.
    head_ : str
        The head chosen; "none" for untouched members.
    discussion_weight_, devil_weight_ : float
        λ and w.
    member_weights_ : ndarray of shape (M,)
        Weights w_m of the norm models in the vote.
    cv_log_loss_ : dict of str to float
        Out-of-fold log-loss of each head, λ and training tried, in nats.
    training_ : dict of str to float
        The training methods used; empty for plain training.
    training_gain_ : ndarray of shape (3,), or None
        Where methods were chosen from: their out-of-fold gain in log-loss and its 95 % interval.
    controls_ : dict of str to DevilHeads
        The fitted controls; empty without them.
    curves_ : dict of str to list of ndarray
        For each seed the loss on the inner rows before each epoch: "devil" of shape (E, 1), "norm"
        of shape (E, M), in nats.

    References
    ----------
    Jo, Lim, Zhang (2021). Devil's Advocate: Novel Boosting Ensemble Method from Psychological
    Findings for Text Classification. Findings of EMNLP, 2021.findings-emnlp.187.

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    >>> DevilsAdvocate(epochs=2, seeds=1).fit([a, a], [0, 0, 1, 1]).predict([a, a])
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        head: Head = "auto",
        discussion_weight: float | None = None,
        devil_weight: float | None = None,
        vote: Literal["learned", "published"] = "learned",
        negatives: Literal["expected", "sampled"] = "expected",
        epochs: int = 40,
        patience: int = 5,
        decay: float = 1e-3,
        seeds: int = 3,
        controls: bool = False,
        training: TrainingChoice = None,
        n_folds: int = 5,
        device: Literal["cpu", "cuda"] = "cpu",
        seed: int = 0,
    ) -> None:
        self.head = head
        self.discussion_weight = discussion_weight
        self.devil_weight = devil_weight
        # `vote` is a method too, so the parameter is kept under a name of its own; see get_params.
        self.vote_rule = vote
        self.negatives = negatives
        self.epochs = epochs
        self.patience = patience
        self.decay = decay
        self.seeds = seeds
        self.controls = controls
        self.training = training
        self.n_folds = n_folds
        self.device = device
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; `deep` makes no difference."""
        names = self._get_param_names()
        return {name: getattr(self, "vote_rule" if name == "vote" else name) for name in names}

    def set_params(self, **params: Any) -> DevilsAdvocate:
        """Set parameters by name."""
        if "vote" in params:
            self.vote_rule = params.pop("vote")
        super().set_params(**params)
        return self

    def vote(self, members: Iterable[Any], w: float = 1.0, *, kinds: Kinds = None) -> Array:
        r"""The published vote, :math:`\mathrm{softmax}((\sum_m z_m - w z_0) / (M + w))`.

        Members, result and errors are those of `predict_proba`.

        Parameters
        ----------
        w : float
            Weight of the devil >= 0; 0 is the vote of the norm models alone.
        """
        weight = check_number(w, "w", low=0.0)
        checked = self.check_members(members, kinds=kinds)
        return self._with(published(self.heads_, weight)).predict_proba(checked)

    @takes_frames("members", returns="scores")
    def contestants(self, members: Iterable[Any], *, kinds: Kinds = None) -> dict[str, Array]:
        """Probabilities of all that the ensemble is to be compared with, and its own.

        Soft vote and log pool of the untouched members; with `controls` plain fine-tuning and the
        discussion without the devil; the norm models alone, with the same weights; the ensemble.
        Members and errors are those of `predict_proba`.

        Returns
        -------
        dict of str to array of shape (n, C)
            Probabilities by name, in the order of reports.
        """
        checked = self.check_members(members, kinds=kinds)
        found = {SOFT: soft_vote(checked), LOG: log_pool(checked)}
        for name, heads in self.controls_.items():
            found[name] = self._with(heads).predict_proba(checked)
        alone = replace(self.heads_, devil_weight=0.0)
        found[NORM] = self._with(alone).predict_proba(checked)
        found[FULL] = self.predict_proba(checked)
        return found

    @takes_frames("members", labels={"y": "members"})
    def compare(self, members: Iterable[Any], y: Any, *, kinds: Kinds = None) -> AccuracyReport:
        """Report on all contestants side by side; the soft vote is the baseline.

        Members and errors are those of `predict_proba`, on rows that `fit` has not seen.

        Parameters
        ----------
        y : array_like of shape (n,)
            True classes.
        """
        checked = self.check_members(members, kinds=kinds)
        labels = as_labels(y, checked)
        return accuracy_report(
            self.contestants(checked), labels, baseline=SOFT, classes=checked.classes
        )

    @takes_frames("members", labels={"y": "members"})
    def devil_share(self, members: Iterable[Any], y: Any, *, kinds: Kinds = None) -> Comparison:
        """What the devil adds: the ensemble against the discussion without the devil.

        Parameters and errors are those of `compare`; it is an error, too, if the controls have not
        been fitted.
        """
        checked = self.check_members(members, kinds=kinds)
        labels = as_labels(y, checked)
        if NO_DEVIL not in self.controls_:
            fail("controls", "True when the devil's share is wanted", "False", "fit again with it")
        without = self._with(self.controls_[NO_DEVIL]).predict(checked)
        return compare(np.asarray(without), np.asarray(self.predict(checked)), labels)

    def _check_multilabel(self) -> None:
        rule = "of classes that exclude each other for the Devil's Advocate"
        fail("members", rule, "multi-label members", "take weights, greedy or stack")

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        from ensemble.devil.search import Rehearsal

        how, heads, weights = self._check_options()
        methods = check_training(self.training)
        learned = check_choice(self.vote_rule, "vote", ("learned", "published")) == "learned"
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        n_seeds = check_count(self.seeds, "seeds", low=1)
        seed = check_count(self.seed, "seed", low=0)
        w = self.devil_weight
        if w is not None:
            w = check_number(w, "devil_weight", low=0.0)
            if learned and w > 0:
                mend = 'take vote="published" to give a weight'
                fail("devil_weight", 'None or 0 where vote="learned"', repr(w), mend)
        fate = "the norm models leave them what the members give"
        warn_unseen(y, members.n_classes, self.class_names_, fate=fate)
        seen, places = seen_classes(y)
        logs = members.log_tensor(slice(0, len(y)))
        order = _order(logs, places, seed)
        logs, places = logs[:, order], places[order]
        betas = Calibration.fit(logs, seen[places]).betas
        inputs = centred(member_features(logs, betas)[:, :, seen])
        if len(seen) < 2 or len(y) < LEAST_ROWS:
            # Nothing to learn from, and no row to stop by: the members as they are, and no devil.
            how = replace(how, epochs=0)
        rehearsal = Rehearsal(
            inputs, places, how, learned=learned, devil_weight=w, n_folds=n_folds, seed=seed
        )
        choice = rehearsal.choose(heads, weights, methods, devil=True)
        devils, norms = rehearsal.final(choice.setting, n_seeds, devil=True)
        self.heads_ = _heads(betas, seen, choice, devils, norms)
        self.head_ = choice.setting.head
        self.discussion_weight_ = choice.setting.discussion_weight
        self.member_weights_ = self.heads_.weights
        self.devil_weight_ = self.heads_.devil_weight
        self.cv_log_loss_ = choice.log_losses
        self.training_ = choice.setting.methods.to_dict()
        self.training_gain_ = None if choice.rehearsed is None else choice.rehearsed.gain
        self.curves_ = {"devil": [t.curve for t in devils], "norm": [t.curve for t in norms]}
        self.controls_: dict[str, DevilHeads] = {}
        if self.controls:
            for name, offers in ((PLAIN, (0.0,)), (NO_DEVIL, weights)):
                choice = rehearsal.choose(heads, offers, methods, devil=False)
                _, norms = rehearsal.final(choice.setting, n_seeds, devil=False)
                self.controls_[name] = _heads(betas, seen, choice, [], norms)

    def _combine(self, members: Members, rows: slice) -> Array:
        return softmax(self.heads_.scores(members.log_tensor(rows)))

    def _with(self, heads: DevilHeads) -> DevilsAdvocate:
        """The same ensemble with other heads."""
        other = DevilsAdvocate(**self.get_params())
        for name, value in vars(self).items():
            setattr(other, name, value)
        other.heads_ = heads
        return other

    def _check_options(self) -> tuple[Training, tuple[str, ...], tuple[float, ...]]:
        from ensemble.devil.fit import Training, check_device
        from ensemble.devil.losses import NEGATIVES

        head = check_choice(self.head, "head", ("auto", *HEADS))
        check_choice(self.negatives, "negatives", NEGATIVES)
        weights: tuple[float, ...] = DISCUSSION_WEIGHTS
        if self.discussion_weight is not None:
            weights = (check_number(self.discussion_weight, "discussion_weight", low=0.0),)
        how = Training(
            epochs=check_count(self.epochs, "epochs", low=0),
            patience=check_count(self.patience, "patience", low=1),
            decay=check_number(self.decay, "decay", low=0.0),
            negatives=self.negatives,
            device=check_device(self.device),
        )
        return how, HEADS if head == "auto" else (head,), weights


def published(heads: DevilHeads, w: float) -> DevilHeads:
    """The same norm models and devil under the published vote, divided by M + w."""
    n_members = len(heads.betas)
    share = 1 / (n_members + w)
    return replace(heads, weights=np.full(n_members, share), devil_weight=w * share)


def _heads(
    betas: Matrix,
    seen: NDArray[np.int64],
    choice: Choice,
    devils: list[Trained],
    norms: list[Trained],
) -> DevilHeads:
    """Average the trainings: the maps are affine, so the mean of their outputs is one of them."""
    n_members, n_seen = len(betas), len(seen)
    return DevilHeads(
        betas=betas,
        seen=seen,
        slopes=_mean([t.slopes for t in norms], (n_members, n_seen)),
        biases=_mean([t.biases for t in norms], (n_members, n_seen)),
        coef=_mean([t.slopes for t in devils], (n_members * n_seen, n_seen)),
        intercept=_mean([t.biases for t in devils], (n_seen,)),
        weights=choice.vote.weights,
        devil_weight=choice.vote.devil_weight,
    )


def _mean(arrays: list[Matrix], shape: tuple[int, ...]) -> Matrix:
    return np.asarray(np.mean(arrays, axis=0)) if arrays else np.zeros(shape)


def _order(logs: Matrix, y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """An order of the rows that does not depend on how they were given."""
    directions = np.random.default_rng(seed).standard_normal((len(logs), 1, logs.shape[2]))
    return np.lexsort(((logs * directions).sum(axis=(0, 2)), y))
