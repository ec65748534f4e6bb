"""Devil's Advocate on torch modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ensemble.training.trainer import DevilsAdvocateTrainer
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
