"""Small members that err in ways of their own."""

from __future__ import annotations

import numpy as np
import pytest


def make_members(seed=0, n_rows=120, n_classes=5, n_members=4):
    """Logits of members of different strength, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    signal = 2.5 * np.eye(n_classes)[y] + rng.standard_normal((n_rows, n_classes))
    members = [
        (0.3 + m) * (signal + (0.4 + 0.3 * m) * rng.standard_normal((n_rows, n_classes)))
        for m in range(n_members)
    ]
    return members, y


@pytest.fixture
def fit_split():
    return make_members(seed=1)


@pytest.fixture
def target_split():
    return make_members(seed=2)
