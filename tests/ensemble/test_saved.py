"""Saved models: they predict bit by bit what they did, and refuse what is not theirs."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import ensemble
import postproc
from ensemble import load_model, save_model, saved
from ensemble.saved import arrays_of
from ensemble.serialization import HOMES
from postproc import Predictions
from tests.ensemble.conftest import make_members

MODELS = {
    "soft": lambda: ensemble.Voting("soft", weights=[1, 2, 3, 4]),
    "hard": lambda: ensemble.Voting("hard", tie="random", weights=np.array([1.0, 1, 0, 0])),
    "weights": ensemble.LearnedLogPool,
    "bias": lambda: ensemble.LearnedLogPool(bias=True, bias_ridge=1.0),
    "calibrated": ensemble.CalibratedVoting,
    "greedy": lambda: ensemble.GreedySelection(n_bags=2, n_steps=3),
    "gumbel": lambda: ensemble.GumbelSelection(size=2),
    "stack": lambda: ensemble.Stacking(cs=(0.1, 0.03)),
    "bagging": lambda: ensemble.Bagging(cs=(0.1,), n_estimators=2),
    "discriminants": ensemble.DiscriminantPool,
    "ytuning": lambda: ensemble.YTuning(seeds=2, training={"fgm": 0.1}),
    "blend": lambda: ensemble.Blend(ridge=3.0, bias_ridge=1.0),
}


@pytest.mark.parametrize("method", MODELS)
@pytest.mark.parametrize("inline", [0, 10**6])
def test_round_trip_is_exact(method, inline, tmp_path):
    model = MODELS[method]().fit(*make_members(seed=1))
    target, _ = make_members(seed=2)
    save_model(model, tmp_path / "model.json", most_inline=inline)
    again = load_model(tmp_path / "model.json")
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict_proba(target), model.predict_proba(target))
    assert again.names_ == model.names_
    assert again.kinds_ == model.kinds_
    np.testing.assert_array_equal(again.solo_accuracy_, model.solo_accuracy_)
    assert set(vars(again)) == set(vars(model)) - set(getattr(model, "unsaved", ()))
    arrays = arrays_of(tmp_path / "model.json")
    assert len(arrays) == (inline == 0)
    assert set(tmp_path.iterdir()) == {tmp_path / "model.json", *arrays}


SINGLE = {
    "temperature": postproc.TemperatureScaling,
    "bcts": postproc.BiasCorrectedTemperatureScaling,
    "structured": postproc.StructuredScaling,
    "matrix": lambda: postproc.ResidualMatrixScaling(ridges=(100.0, 10.0)),
    "pooled": postproc.PooledScaling,
    "map": postproc.LabelShiftAdapter,
    "bbse": lambda: postproc.LabelShiftAdapter(method="bbse", soft=False, random_state=2),
    "plain": lambda: postproc.LabelShiftAdapter(calibration="none", strength=0.5),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of few rows and small shifts
@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize("inline", [0, 10**6])
def test_round_trip_of_models_of_one_array(method, inline, tmp_path):
    members, y = make_members(seed=1)
    model = SINGLE[method]().fit(members[0], y, classes=list("abcde"))
    target = make_members(seed=2)[0][0]
    save_model(model, tmp_path / "model.json", most_inline=inline)
    again = load_model(tmp_path / "model.json")
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict_proba(target), model.predict_proba(target))
    as_lists = {k: list(v) if isinstance(v, tuple) else v for k, v in model.get_params().items()}
    assert again.get_params() == as_lists
    assert again.classes_.tolist() == list("abcde")
    assert set(vars(model)) - set(vars(again)) <= {"out_of_fold_"}
    if method == "temperature" and inline:
        assert (tmp_path / "model.json").stat().st_size < 1500


def test_arrays_of_a_model_that_is_replaced_do_not_stay(tmp_path):
    model = ensemble.LearnedLogPool().fit(*make_members())
    file = tmp_path / "m.json"
    save_model(model, file, most_inline=0)
    (arrays,) = arrays_of(file)  # the first release gave them this name
    arrays.rename(tmp_path / "m.arrays.npz")
    file.write_text(file.read_text().replace(arrays.name, "m.arrays.npz"))
    (tmp_path / "m.0123456789abcdef.arrays.npz").write_bytes(b"of a save that was killed")
    save_model(model, file, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
    load_model(file)


def test_a_file_beside_a_new_model_is_not_taken_for_its_arrays(tmp_path):
    mine = tmp_path / "m.arrays.npz"
    mine.write_text("mine")
    save_model(ensemble.Voting("log"), tmp_path / "m.json")
    save_model(ensemble.Voting("soft"), tmp_path / "m.json", overwrite=True)
    assert mine.read_text() == "mine"


def test_of_two_saves_at_once_one_waits(tmp_path, monkeypatch):
    members, y = make_members()
    file, threads, write = tmp_path / "m.json", [], saved._write_arrays

    def interrupted(target, arrays):
        entry = write(target, arrays)
        if not threads:  # the other save begins before the JSON names these arrays
            other = postproc.TemperatureScaling().fit(members[1], y)
            arguments = (other, file)
            options = {"overwrite": True, "most_inline": 0}
            threads.append(threading.Thread(target=save_model, args=arguments, kwargs=options))
            threads[0].start()
            threads[0].join(0.3)
        return entry

    monkeypatch.setattr(saved, "_write_arrays", interrupted)
    save_model(postproc.TemperatureScaling().fit(members[0], y), file, most_inline=0)
    load_model(file)
    threads[0].join()
    load_model(file)
    assert len(arrays_of(file)) == 1
    assert set(tmp_path.iterdir()) == {file, *arrays_of(file)}


def test_what_has_not_been_fitted_is_saved_too(tmp_path):
    save_model(ensemble.Voting("log", weights=(2, 1)), tmp_path / "m.json")
    again = load_model(tmp_path / "m.json")
    assert (again.method, again.weights, again.tie) == ("log", [2, 1], "support")


def test_the_file_is_readable(tmp_path):
    model = ensemble.LearnedLogPool().fit(*make_members())
    save_model(model, tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["format"] == "postproc model"
    assert content["format_version"] == 1
    assert content["model"]["type"] == "LearnedLogPool"
    assert content["model"]["parameters"]["ridge"] == 1.0
    weights = content["model"]["state"]["member_weights_"]["array"]
    assert weights == model.member_weights_.tolist()


#: A model as the first release saved it.
OLD = """{"format": "postproc model", "format_version": 1, "model": {"type": "LearnedLogPool",
"parameters": {"bias": true, "bias_ridge": {"float": "inf"}, "n_folds": 5, "ridge": 1.0, "seed": 0},
"state": {"n_members_": 2, "n_classes_": 2, "names_": ["members[0]", "members[1]"],
"kinds_": ["logits", "logits"], "classes_": null, "bias_ridge_": 1.0, "converged_": true,
"solo_accuracy_": {"array": [1.0, 0.75], "dtype": "<f8", "shape": [2]},
"member_weights_": {"array": [1.0997858834914314, 0.5508921491243344], "dtype": "<f8",
"shape": [2]}, "n_iter_": 6, "bias_": {"array": [0.170737640874194, -0.1707376408741939],
"dtype": "<f8", "shape": [2]}}}}"""


def test_a_model_of_the_first_release_is_loaded(tmp_path):
    (tmp_path / "old.json").write_text(OLD)
    model = load_model(tmp_path / "old.json")
    assert (model.bias_ridge, model.n_iter_, [*model.classes_]) == (float("inf"), 6, [0, 1])
    a, b = np.array([[2.0, -1.0]]), np.array([[-0.5, 3.0]])
    z = 1.0997858834914314 * a + 0.5508921491243344 * b + [0.170737640874194, -0.1707376408741939]
    np.testing.assert_allclose(model.predict_proba([a, b]), postproc.softmax(z), rtol=1e-12)
    save_model(model, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(OLD)


#: A calibrator as the first release saved it, with a parameter that is gone.
OLD_CALIBRATOR = """{"format": "postproc model", "format_version": 1, "model": {
"type": "ResidualMatrixScaling", "parameters": {"bias_ridges": [3.0, 1.0], "clip": 12.0,
"kind": "logits", "max_iter": 500, "n_folds": 5, "random_state": 0, "ridges": [10.0],
"shrinkage": 0.1}, "state": {"kind_": "logits", "classes_": null, "n_features_in_": 3,
"inverse_temperature_": 0.3427, "model_": {"type": "MatrixMap", "parameters": {}, "state": {
"beta": 0.3427, "bias": {"array": [0.0129, -0.0156, 0.0027], "dtype": "<f8", "shape": [3]},
"weight": {"array": [[-0.1606, -0.0379, 0.1985], [0.0752, 0.9391, -1.0143],
[0.0854, -0.9012, 0.8158]], "dtype": "<f8", "shape": [3, 3]}, "feature_beta": 0.3499,
"clip": 12.0, "unseen": {"array": [], "dtype": "<i8", "shape": [0]}}}}}}"""


def test_a_calibrator_of_the_first_release_gives_its_old_numbers(tmp_path):
    (tmp_path / "old.json").write_text(OLD_CALIBRATOR)
    rows = [[2.0, 2.237, 0.669], [2.975, -2.27, -0.986], [-0.767, 0.348, 0.101]]
    found = load_model(tmp_path / "old.json").predict_proba(rows)
    wanted = [[0.3124, 0.5601, 0.1274], [0.5516, 0.0714, 0.377], [0.2804, 0.4146, 0.305]]
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_a_loaded_model_refuses_another_set(tmp_path):
    members, y = make_members()

    def named(names, classes="abcde"):
        pairs = zip(members, names, strict=True)
        return ensemble.align_members(
            [Predictions.check(z, classes=list(classes), name=name) for z, name in pairs]
        )

    save_model(ensemble.LearnedLogPool().fit(named("wxyz"), y), tmp_path / "m.json")
    model = load_model(tmp_path / "m.json")
    model.predict_proba(named("wxyz"))
    for other in (named("xwyz"), named("wxyz", "bacde"), members[:3]):
        with pytest.raises(ValueError, match="in fit"):
            model.predict_proba(other)


def test_every_home_is_right():
    import importlib

    for name, module in HOMES.items():
        assert getattr(importlib.import_module(module), name).__module__ == module


def test_nothing_is_overwritten_unasked(tmp_path):
    model = ensemble.LearnedLogPool().fit(*make_members())
    save_model(model, tmp_path / "m.json", most_inline=0)
    before = (tmp_path / "m.json").read_bytes()
    with pytest.raises(FileExistsError):
        save_model(model, tmp_path / "m.json")
    save_model(model, tmp_path / "m.json", overwrite=True, most_inline=0)
    assert (tmp_path / "m.json").read_bytes() == before


def test_arrays_of_another_model_are_refused(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        model = ensemble.LearnedLogPool().fit(*make_members(seed=seed))
        save_model(model, tmp_path / f"{name}.json", most_inline=0)
    (beside,) = arrays_of(tmp_path / "a.json")
    (other,) = arrays_of(tmp_path / "b.json")
    other.replace(beside)
    with pytest.raises(ValueError) as error:
        load_model(tmp_path / "a.json")
    assert str(error.value) == (
        f"{beside}: damaged, or not saved with a.json; save the model again"
    )
    beside.unlink()
    with pytest.raises(FileNotFoundError) as missing:
        load_model(tmp_path / "a.json")
    assert str(missing.value) == f"{beside}: no such file, but a.json needs its arrays"


def test_arrays_are_never_looked_for_elsewhere(tmp_path):
    file = tmp_path / "m.json"
    save_model(ensemble.LearnedLogPool().fit(*make_members()), file, most_inline=0)
    (arrays,) = arrays_of(file)
    file.write_text(file.read_text().replace(arrays.name, "../other/secret.npz"))
    with pytest.raises(FileNotFoundError) as error:
        load_model(file)
    assert str(tmp_path / "secret.npz") in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON: Expecting property name enclosed in double quotes"),
        ("[]", "must be a saved model, with the format 'postproc model'"),
        ('{"format": "x"}', "must be a saved model, with the format 'postproc model'"),
        (
            '{"format": "postproc model", "format_version": 2}',
            "format_version must be 1, got 2; it was saved by a later version of postproc",
        ),
        ('{"format_version": 1, "parameters": {}}', "use --config for the output of postproc tune"),
        (
            '{"format": "postproc model", "format_version": 1, "arrays": [1], "model": {}}',
            "damaged: arrays must name a file and its sha256, got [1]",
        ),
        (
            '{"format": "postproc model", "format_version": 1, "model": {"array": [1, 2], '
            '"dtype": "<f8", "shape": [3]}}',
            "m.json: cannot reshape array of size 2 into shape (3,)",
        ),
        ('{"format": "postproc model", "format_version": 1}', "damaged: KeyError: 'model'"),
        (
            '{"format": "postproc model", "format_version": 1, "model": {"type": "Popen"}}',
            "`type` must be one of Bagging, Blend, ",
        ),
        (
            '{"format": "postproc model", "format_version": 1, "model": {"type": "Voting", '
            '"parameters": {}, "state": {"fit": 1}}}',
            "`state` must be names that end in \"_\", got 'fit'",
        ),
    ],
)
def test_damaged_files(text, message, tmp_path):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError) as error:
        load_model(tmp_path / "m.json")
    assert message in str(error.value)


def test_a_save_that_is_killed_leaves_one_model_or_the_other(tmp_path, monkeypatch):
    old = ensemble.LearnedLogPool().fit(*make_members(seed=1))
    new = ensemble.LearnedLogPool().fit(*make_members(seed=2))
    file, target = tmp_path / "m.json", make_members(seed=3)[0]
    expected = [model.predict_proba(target) for model in (old, new)]
    for step in range(3):
        save_model(old, file, overwrite=True, most_inline=0)
        replace, left = Path.replace, iter([True] * step)

        def killed(self, to, left=left, replace=replace):
            if not next(left, False):
                raise KeyboardInterrupt
            return replace(self, to)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Path, "replace", killed)
            save_model(new, file, overwrite=True, most_inline=0)
        found = load_model(file).predict_proba(target)
        np.testing.assert_array_equal(found, expected[step == 2])
    save_model(new, file, overwrite=True, most_inline=0)
    assert set(tmp_path.iterdir()) == {file, *arrays_of(file)}
    assert len(arrays_of(file)) == 1


def values_in(node, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(node, list):
        node = dict(enumerate(node))
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from values_in(value, (*path, key))


HOSTILE = [None, True, -1, 0, 10**30, 1e308, "", "x", [], {}, [1], {"float": "nan"}]
HOSTILE += [{"array": [1e308], "dtype": "<f8", "shape": [1]}, {"array": "AAAA", "dtype": "O"}]
HOSTILE += [{"array": [1], "dtype": "<f8", "shape": [-1]}, {"dict": [1]}, {"npz": "x"}]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*MODELS, *SINGLE, "auto"])
def test_hostile_models_are_refused_or_predict_probabilities(name, tmp_path):
    members, y = make_members(seed=1)
    target = make_members(seed=2)[0]
    file = tmp_path / "m.json"
    if name in SINGLE:
        model, target = SINGLE[name]().fit(members[0], y), target[0]
    else:
        model = ensemble.AutoPostprocessor(n_rehearsals=2) if name == "auto" else MODELS[name]()
        model.fit(members, y)
    save_model(model, file, most_inline=10**6)
    content = json.loads(file.read_text())
    places = list(values_in(content["model"], ("model",)))
    rng = np.random.default_rng(0)
    for at in rng.choice(len(places), 60):
        mutant = json.loads(json.dumps(content))
        *path, last = places[at]
        node = mutant
        for key in path:
            node = node[key]
        node[last] = HOSTILE[rng.integers(len(HOSTILE))]
        file.write_text(json.dumps(mutant))
        try:
            loaded = load_model(file)
        except ValueError as error:
            assert str(file) in str(error)  # noqa: PT017  # one line that names the file
            continue
        if vars(loaded).keys() >= vars(model).keys() - {"out_of_fold_"}:
            probs = loaded.predict_proba(target)
            assert np.isfinite(probs).all()


@pytest.mark.parametrize("cut", [0, 1, 40, 400])
def test_damaged_arrays_are_one_error(cut, tmp_path):
    file = tmp_path / "m.json"
    save_model(ensemble.LearnedLogPool().fit(*make_members()), file, most_inline=0)
    (arrays,) = arrays_of(file)
    data = arrays.read_bytes()[:cut]
    content = json.loads(file.read_text())
    content["arrays"]["sha256"] = hashlib.sha256(data).hexdigest()
    arrays.write_bytes(data)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="its arrays cannot be read"):
        load_model(file)


def test_pipes_are_no_models(tmp_path):
    os.mkfifo(tmp_path / "m.json")
    with pytest.raises(ValueError, match="must be a regular file, got a pipe or a device"):
        load_model(tmp_path / "m.json")


def test_other_objects_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError) as error:
        save_model(StandardScaler(), tmp_path / "m.json")
    assert str(error.value) == f"`model` must be one of {', '.join(HOMES)}, got StandardScaler"
    with pytest.raises(ValueError) as wrong:
        save_model(ensemble.Voting(), tmp_path / "m.pkl")
    assert str(wrong.value) == (
        f'{tmp_path / "m.pkl"}: the suffix of an output must be one of .json, got ".pkl"'
    )
    assert not list(tmp_path.iterdir())
