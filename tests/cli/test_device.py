"""`--device`: what a device of torch computes is what NumPy computes."""

import numpy as np
import pytest
import torch

from cli.main import main as group
from postproc.scores.blocks import Sizes

#: Torch on the CPU stands in for CUDA, which runs where there is one.
DEVICES = ("cpu:0", *(["cuda"] if torch.cuda.is_available() else []))
SMALL = Sizes(block=24 * 60)
FIT = ("--fit", "a.npy", "--fit-labels", "y.npy")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, 400)
    np.save("y.npy", y)
    for name in "ab":
        np.save(f"{name}.npy", rng.normal(size=(400, 3)) + 1.5 * np.eye(3)[y])
    shifted = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y)[:40]])
    np.save("shifted.npy", np.load("b.npy")[shifted])
    return tmp_path


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "words",
    [
        ("can", "a.npy", "--prior", "uniform", "--threshold", "0.5"),
        ("can", "a.npy", "--prior", "uniform", "--threshold", "0.5", "--iterations", "3"),
        ("calibrate", "a.npy", *FIT),
        ("adapt", "a.npy", *FIT),
        ("adapt", "a.npy", "--method", "can", *FIT),
        ("auto", "shifted.npy", *FIT),
        ("ensemble", "soft", "a.npy", "b.npy"),
        ("ensemble", "hard", "a.npy", "b.npy"),
        ("ensemble", "weights", "a.npy", "b.npy", "--fit", "a.npy", "--fit", "b.npy", *FIT[2:]),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_commands_on_a_device(here, run_cli, monkeypatch, words, device):
    run_cli(*words, "-o", "cpu.npy", obj=SMALL)
    (option,) = (p for p in group.get_command(None, words[0]).params if p.name == "device")
    monkeypatch.setattr(option.type, "choices", ("cpu", *DEVICES))
    run_cli(*words, "-o", "there.npy", "--device", device, obj=SMALL)
    np.testing.assert_allclose(np.load("there.npy"), np.load("cpu.npy"), atol=1e-9)


def test_usage(here, run_cli, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ("ensemble", "soft", "a.npy", "b.npy", "--device", "cuda")
    assert "no CUDA device was found; use cpu" in run_cli(*words, code=1).stderr
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    both = run_cli(*words, "--engine", "dask", code=2).stderr
    assert "--device cuda requires --engine local" in both
