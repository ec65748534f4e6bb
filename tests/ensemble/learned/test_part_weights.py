"""What learns from all members has weights of its own beside them."""

import numpy as np
import pytest

import ensemble
from postproc import softmax

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 200)
MEMBERS = [softmax(s * np.eye(3)[Y] + RNG.normal(size=(200, 3))) for s in (2.0, 1.5, 1.0)]


def test_the_rows_of_a_discriminant_pool_are_the_mean_weights_of_all_parts():
    model = ensemble.DiscriminantPool().fit(MEMBERS, Y)
    parts = model.part_weights_
    assert list(parts) == ["discriminant", "kernel regression"]
    sure, (certain, doubtful) = 1 - model.doubts_, model.weights_
    means = sure * (sure * certain + model.doubts_ * doubtful)
    assert parts["kernel regression"] == pytest.approx(means[-1])
    assert model.member_weights_.sum() + sum(parts.values()) == pytest.approx(means.sum())
    alone = ensemble.DiscriminantPool(kernel=False).fit(MEMBERS[:1], Y)
    assert alone.part_weights_ == {}
    del model.doubts_  # as the first release saved it
    assert model.part_weights_ == {}


def test_others():
    assert ensemble.LearnedLogPool().fit(MEMBERS, Y).part_weights_ == {}
    blend = ensemble.Blend().fit(MEMBERS, Y)
    assert blend.part_weights_ == {"stacker": blend.stacker_weight_}
    tuned = ensemble.YTuning(seeds=1).fit(MEMBERS, Y)
    used = {"label embeddings": tuned.label_weight_} if tuned.label_weight_ else {}
    assert tuned.part_weights_ == used


def test_a_pipeline_has_those_of_its_combination():
    auto = ensemble.AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit(MEMBERS, Y)
    expected = {} if auto.combiner_ is None else auto.combiner_.part_weights_
    assert auto.adapt_to(MEMBERS).part_weights_ == auto.part_weights_ == expected
