"""What a typed program sees of the public functions; `make lint` checks it with mypy, strictly."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import ensemble
import postproc


def better(val: NDArray[np.float64], test: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    """Calibrate, normalize and combine arrays, and report."""
    prior = postproc.class_prior(y, n_classes=val.shape[1])
    can = postproc.CAN(prior=prior, top_k=3, threshold=0.9).fit(val)
    assert_type(can, postproc.CAN)
    scaling = postproc.TemperatureScaling().fit(val, y)
    assert_type(scaling.temperature_, float)
    adapter = postproc.LabelShiftAdapter(method="map").fit(val, y)
    assert_type(adapter.adapt_to(test).prior, postproc.PriorEstimate)
    members = [can.predict_proba(test), scaling.predict_proba(test)]
    votes = ensemble.soft_vote(members, weights=[2, 1])
    pool = ensemble.DiscriminantPool().fit([val, val], y)
    report = postproc.accuracy_report({"a": test, "soft": votes}, y, baseline="a")
    assert_type(report.to_text(), str)
    return postproc.decide(pool.predict_proba(members)), report.to_dict()


def from_files(folder: Path) -> Path:
    """Read, change and write files."""
    loaded = postproc.load_predictions(folder / "test.npy", kind="probs")
    assert_type(loaded, postproc.Predictions)
    assert_type(loaded.n_rows, int)
    labels = postproc.load_labels(folder / "y.npy", n_classes=loaded.n_classes)
    rates = postproc.evaluate(np.asarray(loaded.scores), labels)
    assert_type(rates.accuracy, float)
    postproc.save_predictions(folder / "out.npy", np.asarray(loaded.scores))
    return folder / "out.npy"
