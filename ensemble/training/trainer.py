"""Devil's Advocate on torch modules: pretraining, the devil, the discussion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ensemble.devil.fit import check_device
from ensemble.devil.losses import NEGATIVES, Negatives, devil_vote
from ensemble.training.batches import module_logits, move_batch
from ensemble.training.checkpoints import load_checkpoint, part_of, save_checkpoint
from ensemble.training.early_stopping import EarlyStopping, Progress, Standing
from ensemble.training.options import TrainingOptions
from ensemble.training.phases import PHASES, Phase, PhaseLoss
from postproc.files.formats import write_npy_blocks
from postproc.files.paths import atomic_path
from postproc.scores.checks import check_choice, check_count, check_number, fail


class DevilsAdvocateTrainer:
    r"""Train norm modules in discussion with a devil module.

    Three phases, each with early stopping on the valid rows, after which every module has the
    weights of its own best epoch: pretraining of the norm modules by cross-entropy, training of
    the devil to be wrong, and the discussion. Norm modules that are trained already skip the
    first, with `pretrain_epochs=0`.

    Parameters
    ----------
    norm_models : sequence of K torch.nn.Module
        The norm models; each gives logits of shape (b, C) for a batch of inputs.
    devil : torch.nn.Module, optional
        The devil; None holds the discussion without it.
    discussion_weight : float
        λ >= 0, 1 as published; 0 leaves each norm model on its own.
    devil_weight : float
        Weight w >= 0 of the devil in the vote, 1 as published.
    negatives : {"sampled", "expected"}
        The devil's loss.
    pretrain_epochs, devil_epochs, discussion_epochs : int
        Most epochs of each phase, >= 0.
    patience : int
        Epochs >= 1 without progress of any module after which a phase ends.
    calibrated : bool
        Judge norm models after temperature scaling on the valid rows, so that one that is merely
        over-confident goes on.
    optimizer : callable, optional
        Makes an optimizer of an iterable of parameters; Adam with its own defaults if not given.
    device : {"cpu", "cuda"}
        Where to compute.
    mixed_precision : bool
        Run the modules in bfloat16 where torch deems it safe; losses stay in float32.
    checkpoint : path-like, optional
        Folder that keeps the state after each epoch. `fit` goes on from what it finds there.
    progress : callable, optional
        Called after each epoch with phase, epoch and the modules' losses on the valid rows.
    options : TrainingOptions, optional
        How the norm modules are trained; plainly if not given. With `devil=None` and no epochs of
        discussion they are plain members of any ensemble.
    seed : int
        Seed of everything random.

    Attributes
    ----------
    history_ : dict of str to list
        For each phase the losses on the valid rows, one list a module, before each epoch and after
        the last.
    accordance_ : dict of str to list
        With flooding="auto", for each phase of the norm modules the gradient accordance of each
        epoch, one value a module. Once there is a level, steps that flooding turns count as such.

    Notes
    -----
    Batches are pairs of inputs and labels of shape (b,); inputs are a tensor, a tuple (positional)
    or a dict (by keyword). Before each epoch torch's own generator, and that of the loader if it
    has one, are seeded from seed, phase and epoch; so a training that was killed and goes on ends
    where an uninterrupted one does. The state of torch's generator is put back in the end.

    References
    ----------
    Jo, Lim, Zhang (2021). Devil's Advocate: Novel Boosting Ensemble Method from Psychological
    Findings for Text Classification. Findings of EMNLP, 2021.findings-emnlp.187.
    """

    def __init__(
        self,
        norm_models: Sequence[nn.Module],
        devil: nn.Module | None,
        *,
        discussion_weight: float = 1.0,
        devil_weight: float = 1.0,
        negatives: Negatives = "sampled",
        pretrain_epochs: int = 0,
        devil_epochs: int = 10,
        discussion_epochs: int = 10,
        patience: int = 3,
        calibrated: bool = False,
        optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer] | None = None,
        device: Literal["cpu", "cuda"] = "cpu",
        mixed_precision: bool = False,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
        options: TrainingOptions | None = None,
        seed: int = 0,
    ) -> None:
        if len(norm_models) == 0:
            fail("norm_models", "one module or more", "none")
        check_choice(negatives, "negatives", NEGATIVES)
        self.discussion_weight = check_number(discussion_weight, "discussion_weight", low=0.0)
        self.devil_weight = check_number(devil_weight, "devil_weight", low=0.0)
        self.negatives = negatives
        self.epochs = {
            "pretraining": check_count(pretrain_epochs, "pretrain_epochs", low=0),
            "devil": check_count(devil_epochs, "devil_epochs", low=0),
            "discussion": check_count(discussion_epochs, "discussion_epochs", low=0),
        }
        self.patience = check_count(patience, "patience", low=1)
        self.calibrated = calibrated
        self.optimizer = torch.optim.Adam if optimizer is None else optimizer
        self.device = check_device(device)
        self.mixed_precision = mixed_precision
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.progress = progress
        self.options = TrainingOptions() if options is None else options
        self.seed = check_count(seed, "seed", low=0)
        self.norm_models = [model.to(self.device) for model in norm_models]
        for model in self.norm_models:  # names that no module has are an error from the start
            self.options.check(model)
        self.devil = None if devil is None else devil.to(self.device)
        self.history_: dict[str, list[list[float]]] = {}
        self.accordance_: dict[str, list[list[float]]] = {}

    def fit(self, train: Iterable[Any], valid: Iterable[Any]) -> Self:
        """Train, or go on from the checkpoint.

        Parameters
        ----------
        train : iterable of batches
            Rows to train on, such as a DataLoader; gone through once an epoch.
        valid : iterable of batches
            Rows that decide when to stop, and which weights are kept.

        Raises
        ------
        ValueError
            If a loader gives no batch, or the checkpoint is damaged or of other settings.
        """
        standing, tensors = self._resume()
        devices = [torch.cuda.current_device()] if self.device == "cuda" else []
        with torch.random.fork_rng(devices):
            while standing.phase < len(PHASES):
                loss = self._phase_loss(PHASES[standing.phase])
                if loss.modules and self.epochs[loss.phase]:
                    stopping = EarlyStopping(
                        loss,
                        self.optimizer,
                        most_epochs=self.epochs[loss.phase],
                        patience=self.patience,
                        device=self.device,
                        seed=self.seed,
                        save=self._save,
                        progress=self.progress,
                    )
                    stopping.run(standing, tensors, train, valid)
                standing = standing.of_next_phase()
                tensors = {}
        self.history_, self.accordance_ = standing.history, standing.accordance
        self._save(standing, {})
        return self

    def predict_logits(self, loader: Iterable[Any]) -> dict[str, NDArray[np.float32]]:
        """Logits of every module on all rows of a loader, which must not shuffle them.

        Returns
        -------
        dict of str to ndarray of shape (n, C), float32
            "norm1" to "normK", and "devil" where there is one.
        """
        modules = {f"norm{m + 1}": model for m, model in enumerate(self.norm_models)}
        if self.devil is not None:
            modules["devil"] = self.devil
        found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in modules}
        for batch in loader:
            inputs = move_batch(batch, self.device)[0]
            for name, module in modules.items():
                module.eval()
                with torch.no_grad():
                    found[name].append(self._logits(module, inputs).cpu().numpy())
        if not found["norm1"]:
            fail("loader", "one batch or more", "none")
        return {name: np.concatenate(blocks) for name, blocks in found.items()}

    def vote(self, loader: Iterable[Any], w: float | None = None) -> NDArray[np.int64]:
        """Classes with the highest Σ_m z_m - w z_0, shape (n,); w is `devil_weight` by default."""
        logits = {name: torch.as_tensor(z) for name, z in self.predict_logits(loader).items()}
        z_0 = logits.pop("devil", None)
        weight = self.devil_weight if w is None else w
        scores = devil_vote(torch.stack(list(logits.values())), z_0, weight)
        return np.asarray(scores.argmax(dim=1).numpy())

    def save_run(self, folder: str | Path, split: str, loader: Iterable[Any]) -> None:
        """Write the norm models' logits and the labels into a run directory.

        Parameters
        ----------
        folder : path-like
            The run directory; made if it does not exist.
        split : str
            The split, such as "val" or "test".
        loader : iterable of batches
            Its rows, in a fixed order.

        Raises
        ------
        FileExistsError
            If a file exists already.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = dict(self.predict_logits(loader))
        arrays.pop("devil", None)
        labels = [move_batch(batch, self.device)[1].cpu().numpy() for batch in loader]
        arrays["labels"] = np.concatenate(labels)
        for name, array in arrays.items():
            with atomic_path(target / f"{name}.{split}.npy") as temporary:
                write_npy_blocks(temporary, [array], shape=array.shape, dtype=array.dtype)

    def _phase_loss(self, phase: Phase) -> PhaseLoss:
        modules = self.norm_models
        if phase == "devil":
            modules = [] if self.devil is None else [self.devil]
        return PhaseLoss(
            phase,
            modules,
            self._logits,
            devil=self.devil,
            discussion_weight=self.discussion_weight,
            negatives=self.negatives,
            calibrated=self.calibrated,
            options=TrainingOptions() if phase == "devil" else self.options,
        )

    def _logits(self, module: nn.Module, inputs: Any) -> torch.Tensor:
        return module_logits(module, inputs, self.device, mixed_precision=self.mixed_precision)

    def _settings(self) -> dict[str, Any]:
        settings = {
            "norm_models": len(self.norm_models),
            "devil": self.devil is not None,
            "discussion_weight": self.discussion_weight,
            "negatives": self.negatives,
            "seed": self.seed,
        }
        if self.calibrated:
            settings["calibrated"] = True
        options = self.options.settings()
        return {**settings, "options": options} if options else settings

    def _save(self, standing: Standing, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write where training stands, with the tensors of its phase, if there is a checkpoint."""
        if self.checkpoint is None:
            return
        weights = {
            f"{name}.{key}": tensor
            for name, module in self._all()
            for key, tensor in module.state_dict().items()
        }
        save_checkpoint(self.checkpoint, vars(standing), {**weights, **tensors}, self._settings())

    def _resume(self) -> tuple[Standing, Mapping[str, torch.Tensor]]:
        """Bring back what the checkpoint holds; the start where there is none."""
        found = self.checkpoint and load_checkpoint(self.checkpoint, self._settings())
        if not found:
            return Standing(), {}
        state, tensors = found
        for name, module in self._all():
            module.load_state_dict(part_of(tensors, name))
        return Standing(**state), tensors

    def _all(self) -> list[tuple[str, nn.Module]]:
        named = [(f"norm{m}", model) for m, model in enumerate(self.norm_models)]
        return named if self.devil is None else [*named, ("devil", self.devil)]
