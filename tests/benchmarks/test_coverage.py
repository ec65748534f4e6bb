"""Coverage of the gain that `auto` quotes: the counting, and that a run comes through."""

import numpy as np
import pytest

from benchmarks.gains.coverage import Quote, drawn_from, judge, main, table
from ensemble import AutoPostprocessor
from ensemble.auto.rehearsal import PairedGain


def test_the_table_counts_what_is_covered():
    wide, narrow = PairedGain(0.05, 0.02), PairedGain(0.04, 0.001)
    quotes = [
        Quote("a | b | c | d", wide, narrow, PairedGain(true, 0.0)) for true in (0.02, 0.041, 0.2)
    ]
    # Known to within 0.08 only, the third true gain does not contradict the wide interval.
    quotes.append(Quote("a | b | c | d", wide, narrow, PairedGain(0.2, 0.08)))
    assert table(quotes)[2:] == [
        "| a | b | c | d | 4 | 25.0 % | -7.53 | 0.39 | 75.0 % | -6.53 | 7.84 |"
    ]


def scores(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return 2 * (rng.normal(size=(n, 3)) + 1.3 * np.eye(3)[y]) + [2.0, 0.0, 0.0], y


@pytest.fixture
def folder(tmp_path):
    for split, n in (("val", 500), ("test", 1000)):
        x, y = scores(n, n)
        np.save(tmp_path / f"model.{split}.npy", x)
        np.save(tmp_path / f"labels.{split}.npy", y)
    return tmp_path


def test_fit_and_target_of_a_run_directory_share_no_row(folder):
    (fit, y), targets = drawn_from(folder, 3)
    assert [name for name, _, _ in targets] == ["none", "shift"]
    for _, (seen, _), (many, truth) in targets:
        assert seen[0].tolist() == many[0].tolist()
        assert not set(fit[0][:, 0]) & set(many[0][:, 0])
        assert len(truth) == len(many[0])
    assert len(y) + len(targets[0][2][1]) == 1500


def test_the_true_gain_is_that_of_the_predictions():
    auto = AutoPostprocessor(n_rehearsals=6).fit([scores(400, 0)[0]], scores(400, 0)[1])
    seen, (x, y) = scores(300, 1)[0], scores(2000, 2)
    quote = judge("g", auto, [seen], ([x], y))
    adapted = auto.adapt_to([seen])
    assert quote.group == f"g | alone | {adapted.decision_.action}"
    assert quote.quoted == adapted.decision_.expected
    gain = np.mean(adapted.predict([x]) == y) - np.mean(x.argmax(axis=1) == y)
    assert quote.true.gain == pytest.approx(gain)
    assert gain > 0


def test_the_command_prints_every_group(folder, capsys):
    main([str(folder), "--repeats", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("| tasks | shift | members | action | times |")
    assert all(line.startswith("| real | ") for line in printed[2:])
    assert len(printed) == 4
