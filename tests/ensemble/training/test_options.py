"""Which training methods go together."""

from __future__ import annotations

from functools import cache
from itertools import combinations

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


class Text(nn.Module):
    """Mean embedding, dropout and a linear layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(4, 2)

    def forward(self, tokens):
        return self.out(self.represent(tokens))

    def represent(self, tokens):
        return self.drop(self.embedding(tokens).mean(dim=1))


def masked_lm(tokens):
    return 3 * nn.functional.one_hot(tokens, 6).float()


OPTIONS = {
    "flooding": ("flooding", 2.0),
    "auto": ("flooding", "auto"),
    "fgm": ("adversarial", Adversarial("embedding*", "fgm")),
    "pgd": ("adversarial", Adversarial("embedding*", "pgd")),
    "freelb": ("adversarial", Adversarial("embedding*", "freelb")),
    "free": ("child_tuning", ChildTuning("free", 0.5)),
    "driven": ("child_tuning", ChildTuning("driven", 0.5)),
    "accumulate": ("accumulate", 2),
    "contrastive": ("contrastive", Contrastive(Text.represent)),
    "denoising": ("label_denoising", LabelDenoising(Text.represent)),
    "augmentation": (
        "virtual_augmentation",
        VirtualAugmentation(
            masked_lm, "embedding.weight", lambda module, e, _: module.out(e.mean(dim=1)), top=3
        ),
    ),
}
#: They exclude each other: losses of a large batch that are no means of those of its parts.
EXCLUDED = {("accumulate", name) for name in ("flooding", "auto", "contrastive", "denoising")}
PAIRS = [(a, b) for a, b in combinations(OPTIONS, 2) if OPTIONS[a][0] != OPTIONS[b][0]]
ALL = ("auto", "freelb", "driven", "contrastive", "denoising", "augmentation")


@cache
def trained(names):
    """Weights and losses of two epochs with some options."""
    torch.manual_seed(0)
    tokens = torch.randint(6, (24, 5))
    data = DataLoader(TensorDataset(tokens, tokens[:, 0] % 2), 8, shuffle=True)
    model = DevilsAdvocateTrainer(
        [Text()],
        None,
        pretrain_epochs=2,
        discussion_epochs=0,
        optimizer=lambda p: torch.optim.Adam(p, lr=0.03),
        options=TrainingOptions(**dict(OPTIONS[name] for name in names)),
    ).fit(data, data)
    weights = [p.detach().flatten() for p in model.norm_models[0].parameters()]
    return torch.cat([*weights, torch.tensor(model.history_["pretraining"]).flatten()])


@pytest.mark.parametrize("names", [*((name,) for name in OPTIONS), *PAIRS, ALL], ids="+".join)
def test_every_combination_trains_or_is_an_error(names):
    if names in EXCLUDED or names[::-1] in EXCLUDED:
        with pytest.raises(ValueError, match="`accumulate` must be 1 with"):
            trained(names)
        return
    found = trained(names)
    assert found.isfinite().all()
    assert torch.equal(found, trained.__wrapped__(names))
    for fewer in combinations(names, len(names) - 1):
        # Two epochs may be too few for "auto" to find a level.
        assert {*names} - {*fewer} == {"auto"} or not torch.equal(found, trained(fewer))


def test_the_settings_of_a_checkpoint_are_those_that_are_used():
    assert TrainingOptions().settings() == {}
    assert TrainingOptions(flooding="auto").settings() == {"flooding": "auto"}
    options = TrainingOptions(virtual_augmentation=OPTIONS["augmentation"][1], accumulate=2)
    assert options.settings() == {
        "accumulate": 2,
        "virtual_augmentation": {
            "embedding": "embedding.weight",
            "noise": 1.0,
            "top": 3,
            "weight": 1.0,
        },
    }
