"""Blocks on a device; the same paths run on torch's CPU, and on CUDA where there is one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import ensemble
from postproc.can.model import CANModel
from postproc.can.options import CANOptions
from postproc.jobs.cuda import BLOCKS_AT_A_TIME, DeviceEngine, OnDevice, check_device, to_device
from postproc.scores.arrays import as_numpy

DEVICES = ("cpu:0", *(["cuda"] if torch.cuda.is_available() else []))


def test_arrays_stay_on_the_cpu_and_move_elsewhere():
    array = np.arange(6.0).reshape(2, 3)
    assert to_device(array, "cpu") is array
    for device in DEVICES:
        moved = to_device(array, device)
        assert isinstance(moved, torch.Tensor)
        np.testing.assert_array_equal(as_numpy(moved), array)


@pytest.mark.parametrize("device", DEVICES)
def test_blocks_come_in_order_and_as_on_the_cpu(device):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(5, 0.5), 400)
    prior = np.full(5, 0.2)
    options = CANOptions(iterations=3, threshold=0.5)
    here = CANModel.fit([probs], prior, options).adjust(probs)[0]
    model = CANModel.fit([to_device(probs, device)], prior, options)
    cuts = [slice(a, min(a + 30, 400)) for a in range(0, 400, 30)]
    found = list(
        DeviceEngine(device).run(
            lambda rows: as_numpy(model.adjust(to_device(probs[rows], device))[0]), cuts
        )
    )
    assert [number for number, _ in found] == list(range(len(cuts)))
    np.testing.assert_allclose(np.concatenate([block for _, block in found]), here, atol=1e-12)


def test_few_blocks_are_under_way_and_errors_pass():
    begun, taken = [], []
    cuts = [slice(a, a + 1) for a in range(50)]

    def part(rows):
        begun.append(rows.start)
        assert len(begun) <= len(taken) + 2 * BLOCKS_AT_A_TIME + 1
        if rows.start == 20:
            raise ValueError("row 20 is at fault")
        return rows.start

    results = DeviceEngine("cpu:0").run(part, cuts)
    with pytest.raises(ValueError, match="row 20 is at fault"):
        taken.extend(number for number, _ in results)
    assert taken == list(range(20))
    assert max(begun) < 30


def test_a_device_that_is_not_there(monkeypatch):
    check_device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="`device` must be available, got cuda"):
        check_device("cuda")


@pytest.mark.parametrize("device", DEVICES)
def test_a_source_on_a_device_is_read_as_any_other(device):
    scores = np.random.default_rng(0).normal(size=(20, 3))
    source = OnDevice(scores, device)
    assert (source.shape, source.dtype, len(source)) == ((20, 3), np.float64, 20)
    for index in (slice(3, 9), np.array([5, 2, 2]), (slice(0, 20, 7), slice(None))):
        block = source[index]
        assert isinstance(block, torch.Tensor)
        np.testing.assert_array_equal(as_numpy(block), scores[index])
    np.testing.assert_array_equal(np.asarray(source), scores)


@pytest.mark.parametrize("device", DEVICES)
def test_members_on_a_device_are_combined_there(device):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 200)
    fit = [rng.normal(size=(200, 4)) + 2 * np.eye(4)[y] for _ in range(3)]
    target = [rng.normal(size=(50, 4)) for _ in range(3)]
    for model in (ensemble.Voting("log"), ensemble.LearnedLogPool(), ensemble.CalibratedVoting()):
        model.fit(fit, y)
        here = model.check_members(target)
        there = replace(
            here, items=tuple(replace(m, scores=OnDevice(m.scores, device)) for m in here)
        )
        rows = slice(10, 40)
        np.testing.assert_allclose(
            as_numpy(model.combine(there, rows)), model.combine(here, rows), atol=1e-12
        )
