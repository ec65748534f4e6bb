"""Which training methods are used together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from ensemble.training.adversarial import Adversarial
from ensemble.training.child_tuning import ChildTuning
from ensemble.training.contrastive import Contrastive
from ensemble.training.flooding import flood
from postproc.scores.checks import check_count, check_number, fail


@dataclass(frozen=True)
class TrainingOptions:
    """Methods by which the norm modules are trained; the default is plain training.

    The loss of a batch is cross-entropy (and what the discussion adds), plus the contrastive term,
    flooded. Its gradients are the adversarial ones, averaged over accumulated batches and masked
    by child tuning. The devil is always trained plainly.

    Parameters
    ----------
    flooding : float, optional
        Level b >= 0: each module's loss L becomes |L - b| + b.
    adversarial : Adversarial, optional
        FGM, PGD or FreeLB. With `accumulate`, each batch has its own perturbation.
    child_tuning : ChildTuning, optional
        Gradients of a part of the weights.
    accumulate : int
        Batches >= 1 whose gradients are averaged by their rows for one step, as of one large
        batch; modules with batch normalization still see single batches.
    contrastive : Contrastive, optional
        A SimCSE term.

    Raises
    ------
    ValueError
        If an option is not valid, or `accumulate` is more than 1 together with `flooding` or
        `contrastive`, whose losses of a large batch are no means of those of its parts.
    """

    flooding: float | None = None
    adversarial: Adversarial | None = None
    child_tuning: ChildTuning | None = None
    accumulate: int = 1
    contrastive: Contrastive | None = None

    def __post_init__(self) -> None:
        check_count(self.accumulate, "accumulate", low=1)
        if self.flooding is not None:
            check_number(self.flooding, "flooding", low=0.0)
        for name in ("flooding", "contrastive"):
            if self.accumulate > 1 and getattr(self, name) is not None:
                fail("accumulate", f"1 with {name}", self.accumulate, "use larger batches")

    def loss(self, losses: torch.Tensor, modules: Sequence[nn.Module], inputs: Any) -> torch.Tensor:
        """Sum over modules of their losses, shape (K,), as they are trained on."""
        if self.contrastive is not None:
            terms = [self.contrastive.term(module, inputs) for module in modules]
            losses = losses + torch.stack(terms)
        return (losses if self.flooding is None else flood(losses, self.flooding)).sum()

    def settings(self) -> dict[str, Any]:
        """What a checkpoint says of the options that are used, as JSON's own types."""
        used = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value if isinstance(value, int | float) else _plain(value)
            for name, value in used.items()
            if value is not None and (name, value) != ("accumulate", 1)
        }


def _plain(options: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if not callable(value)}
