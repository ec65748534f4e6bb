"""Small text members: they learn, stop, repeat themselves and keep what they were."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ensemble.training import (
    Adversarial,
    ChildTuning,
    Contrastive,
    LabelDenoising,
    TrainingOptions,
    VirtualAugmentation,
)
from ensemble.training.batches import calibrated_log_loss
from ensemble.training.text import TextClassifier, Vocabulary
from ensemble.training.text.classifier import inner_rows
from ensemble.training.text.encoders import TextCNN
from ensemble.training.text.pretraining import pretrain
from ensemble.training.text.tasks import TASKS, Task, corrupt


def toy(n, seed=0):
    """Texts of three classes, told apart by one word among others."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    own = ("cat", "dog", "bird")
    words = [[f"w{k}" for k in rng.integers(12, size=rng.integers(1, 6))] + [own[c]] for c in y]
    return [" ".join(rng.permutation(w)) for w in words], np.array(own)[y]


def represent(module, inputs):
    return module.represent(inputs)


TEXTS, Y = toy(240)
QUICK = {"epochs": 6, "learning_rate": 0.02, "batch_size": 32}


@pytest.mark.parametrize("encoder", ["cnn", "gru", "transformer"])
def test_every_encoder_learns(encoder):
    model = TextClassifier(encoder, **QUICK).fit(TEXTS, Y)
    texts, y = toy(60, seed=1)
    assert (model.predict(texts) == y).mean() > 0.9
    assert model.classes_.tolist() == ["bird", "cat", "dog"]
    assert model.decision_function(texts).dtype == np.float32
    assert min(model.log_losses_) == model.log_losses_[model.best_epoch_] < 0.5
    again = TextClassifier(encoder, **QUICK).fit(TEXTS, Y)
    np.testing.assert_array_equal(again.decision_function(texts), model.decision_function(texts))
    other = TextClassifier(encoder, seed=1, **QUICK).fit(TEXTS, Y)
    assert not np.array_equal(other.decision_function(texts), model.decision_function(texts))


def test_the_kept_epoch_is_judged_after_temperature_scaling():
    wrong = np.where(np.arange(len(Y)) % 7, Y, np.roll(Y, 1))  # so that none is right on all rows
    model = TextClassifier(**QUICK, snapshots=True).fit(TEXTS, wrong)
    held = inner_rows(np.unique(wrong, return_inverse=True)[1], 0.1, 0)
    texts, y = [t for t, inner in zip(TEXTS, held, strict=True) if inner], wrong[held]
    labels = np.searchsorted(model.classes_, y)
    for epoch, snapshot in enumerate(model.snapshots_, 1):
        z = snapshot.decision_function(texts).astype(np.float64)
        grid = [-np.log(softmax(z * b)[np.arange(len(y)), labels]).mean() for b in BETAS]
        assert model.log_losses_[epoch] == pytest.approx(min(grid), abs=0.02)
    kept = model.snapshots_[model.best_epoch_ - 1]
    np.testing.assert_array_equal(kept.decision_function(texts), model.decision_function(texts))
    assert len(model.snapshots_) == len(model.log_losses_) - 1


def test_validation_rows_say_when_to_stop_and_no_row_is_spared():
    texts, y = toy(60, seed=1)
    rolled = np.roll(np.array(["bird", "cat", "dog"]), 1)[
        np.searchsorted(["bird", "cat", "dog"], y)
    ]
    right = TextClassifier(**QUICK, snapshots=True).fit(TEXTS, Y, valid=(texts, y))
    wrong = TextClassifier(**QUICK, snapshots=True).fit(TEXTS, Y, valid=(texts, rolled))
    for model, labels in ((right, y), (wrong, rolled)):
        numbers = np.searchsorted(model.classes_, labels)
        for epoch, snapshot in enumerate(model.snapshots_, 1):
            z = torch.as_tensor(snapshot.decision_function(texts))
            judged = calibrated_log_loss(z, torch.as_tensor(numbers))
            assert model.log_losses_[epoch] == pytest.approx(judged, abs=1e-5)
    assert right.best_epoch_ > wrong.best_epoch_
    first, other = right.snapshots_[0], wrong.snapshots_[0]  # the rows that are trained on
    np.testing.assert_array_equal(first.decision_function(texts), other.decision_function(texts))
    unknown = right.fit(TEXTS, Y, valid=([*texts, "a cow"], [*y, "cow"]))
    assert unknown.log_losses_ == right.log_losses_


def test_wrong_validation_rows_are_named():
    with pytest.raises(ValueError, match=r"`valid` must be as many labels as texts \(2\), got"):
        TextClassifier().fit(TEXTS, Y, valid=(["a", "b"], ["cat"]))
    with pytest.raises(ValueError, match="`valid` must be labels of which some are in `y`"):
        TextClassifier().fit(TEXTS, Y, valid=(["a", "b"], ["cow", "owl"]))
    with pytest.raises(TypeError, match=r"`valid\[0\]` must be a sequence of strings"):
        TextClassifier().fit(TEXTS, Y, valid=("a b", ["cat", "dog"]))


@pytest.mark.parametrize("encoder", ["cnn", "transformer"])
def test_only_so_many_words_are_read(encoder):
    short = TextClassifier(encoder, epochs=1, length=2).fit(TEXTS, Y)
    found = short.decision_function(["w1 cat", "w1 cat dog dog dog"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    longer = TextClassifier(encoder, epochs=1, length=100).fit([*TEXTS, "cat " * 90], [*Y, "cat"])
    assert longer.decision_function(["dog " * 80]).shape == (1, 3)


def test_training_options_are_heard_and_differ():
    options = [
        TrainingOptions(),
        TrainingOptions(flooding=0.5),
        TrainingOptions(label_denoising=LabelDenoising(represent)),
        TrainingOptions(adversarial=Adversarial("embedding.*", "freelb")),
        TrainingOptions(child_tuning=ChildTuning("driven")),
        TrainingOptions(contrastive=Contrastive(represent)),
    ]
    quick = {**QUICK, "epochs": 2}
    found = [
        TextClassifier(options=o, **quick).fit(TEXTS, Y).decision_function(["cat"]) for o in options
    ]
    assert len({z.tobytes() for z in found}) == len(options)


def test_progress_and_patience():
    seen = []
    TextClassifier(
        epochs=30, patience=1, learning_rate=1.0, progress=lambda *said: seen.append(said)
    ).fit(TEXTS, Y)
    assert [epoch for epoch, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) < 30


@pytest.mark.parametrize("task", TASKS)
def test_pretraining_learns_its_task(task: Task):
    torch.manual_seed(0)
    texts = ["the red cat sat on 12 mats .", "a blue dog ran to 7 doors !"] * 40
    vocabulary = Vocabulary.of(texts)
    tokens = vocabulary.encode(texts)
    module = TextCNN(len(vocabulary), 2)
    speak = pretrain(module, tokens, vocabulary, task, epochs=12, batch_size=16, learning_rate=0.02)
    module.eval()
    inputs, targets = corrupt(task, tokens, vocabulary, torch.Generator().manual_seed(1))
    judged = targets >= 0
    said, wanted = speak(inputs)[judged], targets[judged]
    shares = wanted.bincount(minlength=said.shape[1]) / len(wanted)
    knowing_nothing = -torch.xlogy(shares, shares).sum()
    assert functional.cross_entropy(said, wanted) < 0.8 * knowing_nothing


def test_pretrained_members_differ_and_know_more_words():
    more = ["new thing", "new other thing", "thing cat"]
    quick = {**QUICK, "epochs": 1, "pretraining": "random", "pretrain_epochs": 1}
    model = TextClassifier(**quick).fit(TEXTS, Y, more)
    assert {"new", "thing"} <= set(model.vocabulary_.words)
    bare = TextClassifier(**QUICK | {"epochs": 1}).fit(TEXTS, Y, more)
    assert not np.array_equal(model.decision_function(["cat"]), bare.decision_function(["cat"]))


def test_torchs_own_generator_is_left_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    TextClassifier(epochs=1, pretraining="shuffle").fit(TEXTS, Y)
    assert torch.equal(torch.get_rng_state(), before)


def test_inner_rows():
    y = np.repeat([0, 1, 2, 3], [40, 10, 2, 1])
    held = inner_rows(y, 0.1, 0)
    assert np.bincount(y[held], minlength=4).tolist() == [4, 1, 1, 0]
    assert not np.array_equal(held, inner_rows(y, 0.1, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "bert"}, "`encoder` must be"),
        ({"pretraining": "next"}, "`pretraining` must be"),
        ({"epochs": 0}, "`epochs` must be"),
        ({"inner": 0.6}, "`inner` must be"),
        ({"length": 0}, "`length` must be"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        TextClassifier(**settings).fit(TEXTS, Y)


def test_labels_that_cannot_be_learned():
    with pytest.raises(ValueError, match="two classes or more"):
        TextClassifier().fit(["a", "b"], [0, 0])
    with pytest.raises(ValueError, match="two rows or more of some class"):
        TextClassifier().fit(["a", "b"], [0, 1])
    with pytest.raises(ValueError, match=r"`y` must be as long as `texts` \(2\), got 3 labels"):
        TextClassifier().fit(["a", "b"], [0, 1, 1])


def test_what_is_no_text():
    with pytest.raises(TypeError, match="`texts` must be a sequence of strings, got one string"):
        TextClassifier().fit("a b", [0, 1])
    with pytest.raises(TypeError, match=r"`texts\[1\]` must be a string, got float"):
        TextClassifier().fit(["a", float("nan")], [0, 1])


BETAS = np.geomspace(0.05, 20, 200)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_a_bad_weight_of_virtual_augmentation_is_named_before_anything_is_trained():
    with pytest.raises(ValueError, match="`virtual_augmentation` must be"):
        TextClassifier(virtual_augmentation=-1.0).fit(["a", "b"] * 2, [0, 1] * 2)
    own = TrainingOptions(virtual_augmentation=VirtualAugmentation(len, "embedding.weight", len))
    with pytest.raises(ValueError, match="must be None where `options` have one of their own"):
        TextClassifier(options=own, virtual_augmentation=1.0).fit(["a", "b"] * 2, [0, 1] * 2)
