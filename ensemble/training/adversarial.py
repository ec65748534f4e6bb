"""Adversarial training: gradients at perturbed parameters, such as a matrix of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import nn

from ensemble.training.gradients import Gradients, LossOf, added, gradients_of, scaled
from postproc.scores.checks import check_choice, check_count, check_number, fail


@dataclass(frozen=True)
class Adversarial:
    """Training against small perturbations δ of some parameters.

    With g the gradient of the parameter that is perturbed:

    - ``"fgm"`` adds the gradient at δ = ε g/‖g‖ to the plain one (Miyato et al., ICLR 2017).
    - ``"pgd"`` makes K steps δ ← Π(δ + a g/‖g‖), Π the projection on ‖δ‖ <= ε, and adds the last
      gradient to the plain one (Madry et al., ICLR 2018).
    - ``"freelb"`` takes the mean of the gradients at K such points, the first drawn uniformly from
      [-m, m]/√d in each of the d entries, in place of the plain one (Zhu et al., ICLR 2020).

    Parameters
    ----------
    parameters : str
        The parameters to be perturbed, by name or pattern, such as ``"*embedding*"``.
    method : {"fgm", "pgd", "freelb"}
        The method.
    radius : float
        ε >= 0.
    step : float
        a >= 0; not used by FGM.
    n_steps : int
        K >= 1; not used by FGM.
    magnitude : float, optional
        m >= 0 of FreeLB's first point, which is projected, too. ε as published if not given; 0
        where a is 0, so that K = 1 is plain training.
    """

    parameters: str
    method: Literal["fgm", "pgd", "freelb"] = "fgm"
    radius: float = 1.0
    step: float = 0.3
    n_steps: int = 3
    magnitude: float | None = None

    def __post_init__(self) -> None:
        check_choice(self.method, "method", ("fgm", "pgd", "freelb"))
        check_number(self.radius, "radius", low=0.0)
        check_number(self.step, "step", low=0.0)
        check_count(self.n_steps, "n_steps", low=1)
        if self.magnitude is not None:
            check_number(self.magnitude, "magnitude", low=0.0)

    def perturbed(self, module: nn.Module) -> list[nn.Parameter]:
        """The trained parameters of a module that are perturbed."""
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        found = [p for name, p in named if fnmatchcase(name, self.parameters)]
        if not found:
            names = ", ".join(name for name, _ in named[:3])
            fail("parameters", f"a name or pattern of {names}, ...", repr(self.parameters))
        return found

    def gradients(
        self, loss_of: LossOf, parameters: Sequence[nn.Parameter], perturbed: Sequence[nn.Parameter]
    ) -> Gradients:
        """Gradients of all parameters by the method; parameters are left as they were."""
        ids = {id(p): at for at, p in enumerate(parameters)}
        places = [ids[id(p)] for p in perturbed]

        def at(deltas: Sequence[torch.Tensor]) -> Gradients:
            with shifted(perturbed, deltas):
                return gradients_of(loss_of, parameters)

        if self.method == "freelb":
            return self._free(at, perturbed, places)
        plain = last = gradients_of(loss_of, parameters)
        if self.method == "fgm":
            return added(plain, at([unit(last[i], perturbed[0]) * self.radius for i in places]))
        deltas = [torch.zeros_like(p) for p in perturbed]
        for _ in range(self.n_steps):
            deltas = self._ascend(deltas, last, places)
            last = at(deltas)
        return added(plain, last)

    def _free(
        self,
        at: Callable[[Sequence[torch.Tensor]], Gradients],
        perturbed: Sequence[nn.Parameter],
        places: Sequence[int],
    ) -> Gradients:
        deltas = [torch.zeros_like(p) for p in perturbed]
        magnitude = self.magnitude
        if magnitude is None:
            magnitude = self.radius if self.step else 0.0
        if magnitude:
            noise = [(2 * torch.rand_like(p) - 1) / p.numel() ** 0.5 for p in perturbed]
            deltas = [project(magnitude * u, self.radius) for u in noise]
        total: Gradients = []
        for k in range(self.n_steps):
            found = at(deltas)
            share = scaled(found, 1 / self.n_steps)
            total = added(total, share) if k else share
            deltas = self._ascend(deltas, found, places)
        return total

    def _ascend(
        self, deltas: Sequence[torch.Tensor], gradients: Gradients, places: Sequence[int]
    ) -> list[torch.Tensor]:
        """Π(δ + a g/‖g‖) of each perturbed parameter."""
        return [
            project(delta + self.step * unit(gradients[i], delta), self.radius)
            for delta, i in zip(deltas, places, strict=True)
        ]


def unit(gradient: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """g/‖g‖; zero where the gradient is."""
    if gradient is None:
        return torch.zeros_like(like)
    norm = gradient.norm()
    return gradient / torch.where(norm > 0, norm, torch.ones_like(norm))


def project(delta: torch.Tensor, radius: float) -> torch.Tensor:
    """The nearest point with ‖δ‖ <= ε."""
    norm = delta.norm()
    return torch.where(norm > radius, delta * (radius / norm), delta)


@contextmanager
def shifted(parameters: Sequence[nn.Parameter], deltas: Sequence[torch.Tensor]) -> Iterator[None]:
    """Add δ to parameters for a while; then they are what they were, bit for bit."""
    kept = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p, delta in zip(parameters, deltas, strict=True):
                p.add_(delta)
        yield
    finally:
        with torch.no_grad():
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)
