"""Devil's Advocate on torch modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ensemble.training import (
    Adversarial,
    ChildTuning,
    Contrastive,
    DevilsAdvocateTrainer,
    LabelDenoising,
    TrainingOptions,
    VirtualAugmentation,
)
from postproc.files import RunDirectory

RNG = np.random.default_rng(0)
Y = torch.as_tensor(RNG.integers(3, size=90))
X = torch.as_tensor(2 * np.eye(6)[Y.numpy()] + RNG.standard_normal((90, 6)), dtype=torch.float32)


class Interrupt(Exception):  # noqa: N818
    pass


def loaders(generator=None):
    train = DataLoader(TensorDataset(X[:60], Y[:60]), 16, shuffle=True, generator=generator)
    return train, DataLoader(TensorDataset(X[60:], Y[60:]), 16)


def module(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))


def trainer(**options):
    defaults = {"pretrain_epochs": 4, "devil_epochs": 4, "discussion_epochs": 4}
    devil = module(9) if options.pop("with_devil", True) else None
    return DevilsAdvocateTrainer([module(0), module(1)], devil, **(defaults | options))


def weights(model):
    return [t.clone() for _, m in model._all() for t in m.state_dict().values()]


def test_all_phases():
    seen = []
    model = trainer(progress=lambda *news: seen.append(news), pretrain_epochs=15, devil_epochs=15)
    train, valid = loaders()
    model.fit(train, valid)
    assert [phase for phase, *_ in seen] == sorted(
        (phase for phase, *_ in seen), key=["pretraining", "devil", "discussion"].index
    )
    assert len(seen) == sum(len(curve) - 1 for curve in model.history_.values())
    y = Y[60:].numpy()
    logits = model.predict_logits(valid)
    assert list(logits) == ["norm1", "norm2", "devil"]
    assert np.mean(logits["devil"].argmax(axis=1) == y) < 0.4
    assert np.mean(model.vote(valid) == y) > 0.6
    assert np.mean(model.vote(valid, 0) == y) > 0.6
    total = logits["norm1"] + logits["norm2"] - logits["devil"]
    np.testing.assert_array_equal(model.vote(valid), total.argmax(axis=1))


def test_best_weights_are_kept():
    model = trainer(optimizer=lambda p: torch.optim.SGD(p, lr=50.0), pretrain_epochs=0)
    before = [model.norm_models[0][0].weight.clone(), model.norm_models[1][0].weight.clone()]
    model.fit(*loaders())
    for start, norm, losses in zip(
        before, model.norm_models, zip(*model.history_["discussion"], strict=True), strict=True
    ):
        kept = torch.equal(start, norm[0].weight)
        assert kept == (min(losses) == losses[0])


@pytest.mark.parametrize(
    ("killed_after", "own_generator"), [(1, False), (4, True), (5, False), (9, True)]
)
def test_killed_and_resumed_equals_uninterrupted(killed_after, own_generator, tmp_path):
    def made():
        return loaders(torch.Generator() if own_generator else None)

    whole = trainer(patience=9).fit(*made())
    count = []

    def kill(*news):
        count.append(news)
        if len(count) == killed_after:
            raise Interrupt

    with pytest.raises(Interrupt):
        trainer(patience=9, checkpoint=tmp_path / "c", progress=kill).fit(*made())
    torch.manual_seed(99)
    model = trainer(patience=9, checkpoint=tmp_path / "c").fit(*made())
    assert model.history_ == whole.history_
    for a, b in zip(weights(model), weights(whole), strict=True):
        assert torch.equal(a, b)
    again = trainer(patience=9, checkpoint=tmp_path / "c").fit(*made())
    for a, b in zip(weights(again), weights(whole), strict=True):
        assert torch.equal(a, b)
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_the_devil_is_frozen_in_the_discussion():
    model = trainer(pretrain_epochs=0, devil_epochs=0)
    before = [t.clone() for t in model.devil.state_dict().values()]
    model.fit(*loaders())
    for a, b in zip(before, model.devil.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_without_the_devil():
    model = trainer(with_devil=False, discussion_weight=0).fit(*loaders())
    assert list(model.predict_logits(loaders()[1])) == ["norm1", "norm2"]
    assert set(model.history_) == {"pretraining", "discussion"}


def test_leaves_the_generator_of_torch_alone():
    model = trainer()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model.fit(*loaders())
    assert torch.equal(torch.rand(1), expected)


def test_mixed_precision_and_named_inputs():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(6, 3)

        def forward(self, x):
            return self.map(x)

    batches = [({"x": X[:60]}, Y[:60])]
    model = DevilsAdvocateTrainer([Named()], Named(), mixed_precision=True, discussion_epochs=2)
    model.fit(batches, batches)
    assert model.predict_logits(batches)["norm1"].dtype == np.float32
    pairs = DevilsAdvocateTrainer([Named()], None).predict_logits([((X,), Y)])
    assert pairs["norm1"].shape == (90, 3)


def test_saves_a_run_directory(tmp_path):
    model = trainer()
    for split in ("val", "test"):
        model.save_run(tmp_path / "run", split, loaders()[1])
    run = RunDirectory.open(tmp_path / "run")
    names = [p.name for p in run.predictions("val")]
    assert names == ["norm1", "norm2"]
    np.testing.assert_array_equal(run.labels("test"), Y[60:].numpy())


def test_errors(tmp_path):
    with pytest.raises(ValueError) as error:
        DevilsAdvocateTrainer([], None)
    assert str(error.value) == "`norm_models` must be one module or more, got none"
    with pytest.raises(ValueError) as error:
        trainer().fit(loaders()[0], [])
    assert str(error.value) == "`valid` must be one batch or more, got none"
    with pytest.raises(ValueError) as error:
        trainer().predict_logits([])
    assert str(error.value) == "`loader` must be one batch or more, got none"
    trainer(checkpoint=tmp_path).fit(*loaders())
    with pytest.raises(ValueError) as error:
        trainer(checkpoint=tmp_path, seed=1).fit(*loaders())
    assert str(error.value) == (
        f"{tmp_path}: cannot be resumed: `seed` was 0 and is 1 now; "
        "remove the folder to start again"
    )
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(ValueError, match="the checkpoint is damaged"):
        trainer(checkpoint=tmp_path).fit(*loaders())


OPTIONS = {
    "flooding": TrainingOptions(flooding=0.9),
    "fgm": TrainingOptions(adversarial=Adversarial("0.*")),
    "pgd": TrainingOptions(adversarial=Adversarial("0.*", "pgd")),
    "freelb": TrainingOptions(adversarial=Adversarial("0.weight", "freelb")),
    "free": TrainingOptions(child_tuning=ChildTuning()),
    "driven": TrainingOptions(child_tuning=ChildTuning("driven")),
    "accumulate": TrainingOptions(accumulate=3),
    "contrastive": TrainingOptions(contrastive=Contrastive(lambda model, x: model[:3](x))),
    "label denoising": TrainingOptions(label_denoising=LabelDenoising(lambda m, x: m[:3](x))),
    "virtual augmentation": TrainingOptions(  # the rows of a weight serve as embeddings
        virtual_augmentation=VirtualAugmentation(
            lambda x: x[:, None, :1].expand(-1, 1, 8), "0.weight", lambda m, e, x: m(e[:, 0] + x)
        )
    ),
    "together": TrainingOptions(
        accumulate=2,
        adversarial=Adversarial("0.weight", "freelb"),
        child_tuning=ChildTuning("driven", 0.5),
    ),
}
PLAIN = {
    "default": TrainingOptions(),
    "freelb of K = 1, a = 0": TrainingOptions(
        adversarial=Adversarial("0.*", "freelb", step=0, n_steps=1)
    ),
    "flooding at 0": TrainingOptions(flooding=0.0),
    "driven child of all": TrainingOptions(child_tuning=ChildTuning("driven", 1.0)),
}
SHORT = {"patience": 9, "pretrain_epochs": 2, "devil_epochs": 1, "discussion_epochs": 2}


@pytest.mark.parametrize("name", PLAIN)
def test_options_that_are_plain_training(name):
    plain = trainer(**SHORT).fit(*loaders())
    model = trainer(**SHORT, options=PLAIN[name]).fit(*loaders())
    assert model.history_ == plain.history_
    for a, b in zip(weights(model), weights(plain), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("killed_after", [1, 4])
def test_options_act_and_resume_bit_for_bit(name, killed_after, tmp_path):
    options = {**SHORT, "options": OPTIONS[name]}
    whole = trainer(**options).fit(*loaders())
    assert whole.history_ != trainer(**SHORT).fit(*loaders()).history_
    count = []

    def kill(*news):
        count.append(news)
        if len(count) == killed_after:
            raise Interrupt

    with pytest.raises(Interrupt):
        trainer(**options, checkpoint=tmp_path / "c", progress=kill).fit(*loaders())
    with pytest.raises(ValueError, match="cannot be resumed"):
        trainer(**SHORT, checkpoint=tmp_path / "c").fit(*loaders())
    torch.manual_seed(99)
    model = trainer(**options, checkpoint=tmp_path / "c").fit(*loaders())
    assert model.history_ == whole.history_
    for a, b in zip(weights(model), weights(whole), strict=True):
        assert torch.equal(a, b)


def test_a_driven_child_leaves_the_other_weights_alone():
    start = module(0)
    model = DevilsAdvocateTrainer(
        [module(0)],
        None,
        pretrain_epochs=3,
        discussion_epochs=0,
        options=TrainingOptions(child_tuning=ChildTuning("driven", 0.25)),
    ).fit(*loaders())
    pairs = list(zip(start.parameters(), model.norm_models[0].parameters(), strict=True))
    moved = sum(int((a != b).sum()) for a, b in pairs)
    assert 0 < moved <= round(0.25 * sum(a.numel() for a, _ in pairs))


def test_flooding_keeps_the_training_loss_near_the_level():
    options = {"pretrain_epochs": 60, "discussion_epochs": 0, "patience": 60}
    train, _ = loaders()

    def final_loss(level):
        model = nn.Linear(6, 3)
        chosen = TrainingOptions(flooding=level)
        trained = DevilsAdvocateTrainer(
            [model],
            None,
            **options,
            options=chosen,
            optimizer=lambda p: torch.optim.Adam(p, lr=0.05),
        )
        return trained.fit(train, train).history_["pretraining"][-1][0]

    assert abs(final_loss(0.5) - 0.5) < 0.1
    assert final_loss(None) < 0.35


def test_names_that_no_module_has_are_an_error_from_the_start():
    with pytest.raises(ValueError, match=r"pattern of 0\.weight, "):
        trainer(options=TrainingOptions(adversarial=Adversarial("embedding*")))
