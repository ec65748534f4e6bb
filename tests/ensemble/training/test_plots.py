"""Plots of trainings: what stands where."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ensemble.training import accordance_plot, temperature_plot, tolerance, uniformity

RNG = np.random.default_rng(0)
ONE = {"pretraining": [[0.5], [0.2], [-0.1], [0.05]]}
TWO = {"pretraining": [[0.5, 0.3], [0.1, -0.1]], "discussion": [[0.4, 0.2]]}
Y = np.arange(30) % 3
H = {t: np.eye(3)[Y] + t * RNG.standard_normal((30, 3)) for t in (0.5, 0.05, 0.055)}


def parsed(text, tag, style=""):
    root = ET.fromstring(text)
    found = root.iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [element for element in found if style in element.get("class", "")]


def points(line):
    return np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)


def test_one_module():
    text = accordance_plot(ONE)
    (line,) = parsed(text, "polyline", "accent")
    (zero,) = parsed(text, "polyline", "ink")
    x, y = points(line).T
    assert np.diff(x) == pytest.approx(x[1] - x[0], abs=0.02)
    level = points(zero)[0, 1]
    np.testing.assert_array_equal(y < level, [True, True, False, True])
    mark, _ = parsed(text, "path", "bad")  # where flooding begins, and what it means
    assert mark.get("transform") == f"translate({x[2]:g} {y[2]:g})"
    assert parsed(text, "desc")[0].text == "pretraining: 0.5, 0.2, -0.1, 0.05"


def test_modules_and_phases():
    text = accordance_plot(TWO)
    assert len(parsed(text, "polyline", "accent")) == 2
    assert len(parsed(text, "polyline", "thin")) == 2 * 2 + 1  # modules, and zero
    assert len(parsed(text, "polyline", "dashed")) == 1  # between the phases
    labels = [element.text for element in parsed(text, "text")]
    assert labels.count("pretraining") == labels.count("discussion") == 1
    assert {"1", "2", "3"} <= set(labels)
    assert "4" not in labels


def test_temperatures_are_sorted_and_labels_kept_apart():
    text = temperature_plot(H, Y)
    lines = [points(line) for line in parsed(text, "polyline", "accent")]
    order = sorted(H)
    assert len(lines) == 2
    for line, values, low in zip(
        lines,
        ([uniformity(H[t]) for t in order], [tolerance(H[t], Y) for t in order]),
        (0, 226),
        strict=True,
    ):
        assert (np.diff(line[:, 0]) > 0).all()
        np.testing.assert_array_equal(np.argsort(-line[:, 1]), np.argsort(values))
        assert ((line[:, 1] > low) & (line[:, 1] < low + 190)).all()
    labels = [element.text for element in parsed(text, "text")]
    assert labels.count("0.05") == labels.count("0.5") == 2
    assert "0.055" not in labels
    assert parsed(text, "desc")[0].text.startswith("τ 0.05: uniformity ")


def test_errors():
    with pytest.raises(ValueError, match="must be of one epoch or more, got none; train with"):
        accordance_plot({"pretraining": []})
    with pytest.raises(ValueError, match="must be of two temperatures or more, got 1"):
        temperature_plot({0.1: H[0.5]}, Y)
    with pytest.raises(ValueError, match=r"`representations` must be in \(0, inf\), got 0"):
        temperature_plot({0: H[0.5], 1: H[0.5]}, Y)
