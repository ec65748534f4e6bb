"""Which training methods are used together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import nn

from ensemble.training.adversarial import Adversarial
from ensemble.training.child_tuning import ChildTuning
from ensemble.training.contrastive import Contrastive
from ensemble.training.label_denoising import LabelDenoising
from ensemble.training.virtual_augmentation import VirtualAugmentation
from postproc.scores.checks import check_choice, check_count, check_number, fail


@dataclass(frozen=True)
class TrainingOptions:
    """Methods by which the norm modules are trained; the default is plain training.

    The loss of a batch is cross-entropy (and what the discussion adds), plus the terms of
    `contrastive`, `label_denoising` and `virtual_augmentation`, flooded. Its gradients are the
    adversarial ones, averaged over accumulated batches and masked by child tuning. The devil is
    always trained plainly.

    Parameters
    ----------
    flooding : float or "auto", optional
        Level b >= 0: each module's loss L becomes |L - b| + b. "auto" is Flooding-X (Liu et al.,
        ACL 2022): b is found for each module, anew in each phase. See Notes.
    adversarial : Adversarial, optional
        FGM, PGD or FreeLB. With `accumulate`, each batch has its own perturbation.
    child_tuning : ChildTuning, optional
        Gradients of a part of the weights.
    accumulate : int
        Batches >= 1 whose gradients are averaged by their rows for one step, as of one large
        batch; modules with batch normalization still see single batches.
    contrastive : Contrastive, optional
        A SimCSE term.
    label_denoising : LabelDenoising, optional
        A term that pulls similarities of texts and of predictions together (LLD).
    virtual_augmentation : VirtualAugmentation, optional
        A term that makes predictions agree with those from virtual embeddings (VDA).

    Notes
    -----
    Flooding-X reads the gradient accordance: the mean cosine of the gradients of all pairs of
    batches of an epoch, each as its step is taken. While it is positive, a step on one batch lowers
    the loss on those after it, too. When it is zero or less after that, b becomes the mean training
    loss of that epoch, and stays. The paper measures how the steps of one epoch change the loss of
    each batch; this form of its criterion is recalled, not checked against its text.

    Raises
    ------
    ValueError
        If an option is not valid, or `accumulate` is more than 1 together with `flooding`,
        `contrastive` or `label_denoising`, whose losses of a large batch are no means of those of
        its parts.
    """

    flooding: float | Literal["auto"] | None = None
    adversarial: Adversarial | None = None
    child_tuning: ChildTuning | None = None
    accumulate: int = 1
    contrastive: Contrastive | None = None
    label_denoising: LabelDenoising | None = None
    virtual_augmentation: VirtualAugmentation | None = None

    def __post_init__(self) -> None:
        check_count(self.accumulate, "accumulate", low=1)
        if isinstance(self.flooding, str):
            check_choice(self.flooding, "flooding", ("auto",))
        elif self.flooding is not None:
            check_number(self.flooding, "flooding", low=0.0)
        for name in ("flooding", "contrastive", "label_denoising"):
            if self.accumulate > 1 and getattr(self, name) is not None:
                fail("accumulate", f"1 with {name}", self.accumulate, "use larger batches")

    def levels(self, n_modules: int) -> list[float]:
        """Levels of flooding to start with, one a module; 0 is none yet, and plain training."""
        if self.flooding is None:
            return []
        return [0.0 if self.flooding == "auto" else self.flooding] * n_modules

    def check(self, module: nn.Module) -> None:
        """Raise an error if a parameter that an option names is none of the module's."""
        if self.adversarial is not None:
            self.adversarial.perturbed(module)
        if self.virtual_augmentation is not None:
            self.virtual_augmentation.matrix(module)

    def terms(
        self, modules: Sequence[nn.Module], inputs: Any, logits: Sequence[torch.Tensor]
    ) -> torch.Tensor | int:
        """What options add to the losses of a batch, of each module, shape (K,), or nothing."""
        pairs = list(zip(modules, logits, strict=True))
        used = (self.contrastive, self.label_denoising, self.virtual_augmentation)
        found = [
            torch.stack([option.term(module, inputs, z) for module, z in pairs])
            for option in used
            if option is not None
        ]
        return sum(found)

    def settings(self) -> dict[str, Any]:
        """What a checkpoint says of the options that are used, as JSON's own types."""
        used = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value if isinstance(value, int | float | str) else _plain(value)
            for name, value in used.items()
            if value is not None and (name, value) != ("accumulate", 1)
        }


def _plain(options: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if not callable(value)}
