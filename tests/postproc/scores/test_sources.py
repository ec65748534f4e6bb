"""Sources: rows that stay in their files read as the array does, and say when a file changes."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import array_api_compat as api
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postproc import Predictions, load_predictions
from postproc.files.shards import ShardSource, find_shards, open_shards
from postproc.files.zarr import ZarrSource
from postproc.jobs.cuda import OnDevice
from postproc.scores.sources import (
    NpySource,
    Picked,
    Source,
    SourceChangedError,
    as_source,
    signature_of,
)


@pytest.fixture
def npy(tmp_path, probs):
    path = tmp_path / "preds.npy"
    np.save(path, probs)
    return path


def shards(folder, array, cuts, name="part"):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.split(array, cuts)):
        np.save(folder / f"{name}-{number:05d}.npy", part)
    return folder


def zarr_array(path, array, **options):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(path), data=array, **options)
    return path


@pytest.fixture(params=["npy", "fortran", "shards", "columns", "zarr"])
def source(request, tmp_path, probs):
    if request.param == "zarr":
        return ZarrSource.open(zarr_array(tmp_path / "preds.zarr", probs, chunks=(7, 4)))
    if request.param == "shards":
        folder = shards(tmp_path / "folder", probs, [3, 3, 11])
        return open_shards(folder, find_shards(folder))
    if request.param == "fortran":
        np.save(tmp_path / "preds.npy", np.asfortranarray(probs))
        return NpySource.open(tmp_path / "preds.npy")
    moved = probs if request.param == "npy" else np.take(probs, [2, 0, 3, 1], axis=1)
    np.save(tmp_path / "preds.npy", moved)
    opened = NpySource.open(tmp_path / "preds.npy")
    return opened if request.param == "npy" else Picked(opened, columns=np.array([1, 3, 0, 2]))


INDICES = [
    slice(None),
    slice(2, 9),
    slice(-3, None),
    slice(1, 18, 5),
    slice(15, 2, -3),
    slice(5, 5),
    slice(9, 3),
    (slice(2, 9), slice(None)),
    (slice(2, 9), [3, 1]),
    ([4, 5, 6, 1], slice(None)),
    [0, 19, -1, 7, 8],
    np.arange(20) % 3 == 0,
    3,
    (slice(0, 20), 2),
    (slice(2, 9), np.array([3, 1])),
    (slice(2, 9), np.array([True, False, True, False])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_source_is_indexed_as_its_array(source, probs, index):
    got = source[index]
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, probs[index])


def test_a_source_has_what_arrays_have(source, probs):
    assert (source.shape, source.dtype, source.ndim, len(source)) == ((20, 4), probs.dtype, 2, 20)
    np.testing.assert_array_equal(np.asarray(source), probs)
    assert np.asarray(source, dtype=np.float32).dtype == np.float32
    assert api.array_namespace(source).asarray is not None
    assert api.device(source) == "cpu"
    with pytest.raises(IndexError, match=r"0\.\.19"):
        source[[0, 20]]


def test_a_source_is_pickled_by_path(source, probs, tmp_path):
    source[:1]  # what has been opened is not pickled
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[:], probs)
    big = np.zeros((100_000, 4))
    np.save(tmp_path / "big.npy", big)
    handle = as_source(np.load(tmp_path / "big.npy", mmap_mode="r"))
    assert len(pickle.dumps(Predictions(handle, "logits"))) < 2_000
    assert len(pickle.dumps(load_predictions(tmp_path / "big.npy", kind="logits"))) < 2_000


def test_signatures_tell_contents_apart(source, probs, tmp_path):
    signature = source.signature()
    assert signature == pickle.loads(pickle.dumps(source)).signature()
    assert signature["shape"] == [20, 4]
    other = tmp_path / "other.npy"
    np.save(other, probs[::-1])
    assert signature_of(np.load(other, mmap_mode="r"))["sample"] != signature["sample"]
    assert signature_of(probs) == signature_of(probs.copy()) != signature_of(probs[::-1])


@settings(max_examples=30)
@given(rows=st.tuples(st.integers(0, 12), st.integers(0, 12)), column=st.booleans())
def test_views_of_a_map_become_sources_of_their_own_rows(tmp_path_factory, rows, column):
    path = tmp_path_factory.mktemp("views") / "a.npy"
    whole = np.arange(48, dtype=np.float32).reshape(12, 4)
    np.save(path, whole)
    mapped = np.load(path, mmap_mode="r")
    view = mapped[2:][rows[0] :][: rows[1]]
    view = view[:, 1:] if column else view
    found = as_source(np.asarray(view))
    assert isinstance(found, Source) == (view.size > 0 and (not column or len(view) == 1))
    np.testing.assert_array_equal(found[:], view)


def test_what_no_file_holds_row_after_row_stays_an_array(tmp_path, probs):
    np.save(tmp_path / "f.npy", np.asfortranarray(probs))
    np.save(tmp_path / "c.npy", probs)
    fortran = np.load(tmp_path / "f.npy", mmap_mode="r")[::2]
    private = np.load(tmp_path / "c.npy", mmap_mode="c")  # changes to it are in no file
    gone = np.load(tmp_path / "c.npy", mmap_mode="r")
    (tmp_path / "c.npy").unlink()
    for array in (probs, fortran, private, gone, gone[::2]):
        assert as_source(array) is array


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda path: os.truncate(path, 400), "shrank from 768 to 400 bytes"),
        (lambda path: os.truncate(path, 900), "grew from 768 to 900 bytes"),
        (lambda path: os.utime(path, ns=(1, 1)), "was written to"),
    ],
)
def test_a_file_that_changes_is_named(npy, change, what):
    found = NpySource.open(npy)
    found.read(slice(0, 20))
    change(npy)
    with pytest.raises(SourceChangedError, match=what) as error:
        found.read(slice(0, 2))
    assert str(npy) in str(error.value)


def test_a_file_that_ends_within_a_read_is_named(npy):
    found = replace(NpySource.open(npy), shape=(40, 4))
    with pytest.raises(SourceChangedError, match=r"preds.npy: the file was written to"):
        found.read(slice(0, 40))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not an array at all", "not an .npy file"),
        (np.zeros((1, 2, 3)), r"must be an array of numbers, \(rows, classes\)"),
        (np.zeros((2, 2), dtype="U3"), "must be an array of numbers"),
    ],
    ids=["text", "cube", "strings"],
)
def test_what_is_no_shard_is_named(tmp_path, content, message):
    path = tmp_path / "x-00000.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=message) as error:
        load_predictions(tmp_path)
    assert str(path) in str(error.value)


def test_a_short_shard_is_named(tmp_path, probs):
    shards(tmp_path, probs, [10])
    os.truncate(tmp_path / "part-00001.npy", 300)
    with pytest.raises(ValueError, match=r"part-00001\.npy: .*shorter than its header"):
        load_predictions(tmp_path)


def test_shards_are_loaded_as_one_array(tmp_path, probs):
    folder = shards(tmp_path / "preds", probs, [3, 11])
    (folder / "classes.txt").write_text("a\nb\nc\nd\n")
    for path in (folder, f"{folder}/", folder / "part"):
        loaded = load_predictions(path)
        assert isinstance(loaded.scores, ShardSource)
        np.testing.assert_array_equal(loaded.scores[:], probs)
        assert (loaded.kind, loaded.n_rows, loaded.output_dtype) == ("probs", 20, np.float64)
    assert load_predictions(folder).classes == ("a", "b", "c", "d")
    np.testing.assert_allclose(loaded.probabilities(slice(2, 13)), probs[2:13])


def test_numbers_in_names_of_models_are_none_of_shards(tmp_path, probs):
    for name in ("resnet", "resnet_152", "resnet_101", "vgg-016"):
        np.save(tmp_path / f"{name}.npy", probs)
    assert load_predictions(tmp_path / "resnet").n_rows == len(probs)
    with pytest.raises(ValueError, match="holds no shards"):
        load_predictions(tmp_path)


def test_zarr_arrays_are_loaded(tmp_path, probs):
    path = zarr_array(tmp_path / "preds.zarr", probs.astype(np.float32), chunks=(7, 4))
    loaded = load_predictions(path)
    assert (loaded.kind, loaded.output_dtype) == ("probs", np.float32)
    np.testing.assert_array_equal(loaded.scores[:], probs.astype(np.float32))


def _spoil(folder, probs):
    np.save(folder / "part-00002.npy", probs[11:, :3])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda f, p: (f / "part-00001.npy").unlink(),
            FileNotFoundError,
            "shard 1 of 'part' is missing, but part-00002.npy exists",
        ),
        (_spoil, ValueError, r"part-00002.npy: must have 4 columns like part-00000.npy, got 3"),
        (
            lambda f, p: np.save(f / "part-00001.npy", p[3:11].astype(np.float32)),
            ValueError,
            r"part-00001.npy: must be float64 like part-00000.npy, got float32",
        ),
        (
            lambda f, p: np.save(f / "other-00000.npy", p),
            ValueError,
            r"shards of several names \(other, part\); choose one",
        ),
        (lambda f, p: [x.unlink() for x in f.iterdir()], ValueError, "holds no shards"),
        (
            lambda f, p: np.save(f / "part-1.npy", p),
            ValueError,
            "two shards of one number, part-00001.npy and part-1.npy",
        ),
        (
            lambda f, p: [x.rename(f"{str(x)[:-4]}-of-00004.npy") for x in f.iterdir()],
            FileNotFoundError,
            "shard 3 of 'part' is missing, but part-00002-of-00004.npy exists",
        ),
        (
            lambda f, p: np.save(f / "part-00001.npy", np.where(np.eye(8, 4), np.nan, p[3:11])),
            ValueError,
            r"preds, row 0 of part-00001.npy \(row 3 of all\), column 0` must be a finite number",
        ),
    ],
    ids=["missing", "width", "dtype", "names", "empty", "twice", "total", "nan"],
)
def test_shards_that_do_not_fit_are_named(tmp_path, probs, spoil, error, message):
    folder = shards(tmp_path / "preds", probs, [3, 11])
    spoil(folder, probs)
    with pytest.raises(error, match=message):
        load_predictions(folder)


@pytest.mark.parametrize(
    "names",
    ["part-{:03d}", "logits_batch{}", "x.{:04d}", "shard{}", "p-{:05d}-of-00012", "chunk_{}"],
)
@pytest.mark.parametrize("start", [0, 1])
def test_shards_may_be_named_and_numbered_otherwise(tmp_path, probs, names, start):
    parts = np.array_split(probs, 12)
    for number, part in enumerate(parts, start):
        np.save(tmp_path / f"{names.format(number)}.npy", part)
    np.testing.assert_array_equal(load_predictions(tmp_path).scores[slice(0, len(probs))], probs)


@pytest.mark.parametrize("names", ["fold-{}", "model{}", "seed_{:02d}"])
def test_folds_and_members_are_no_shards(tmp_path, probs, names):
    for number in range(3):
        np.save(tmp_path / f"{names.format(number)}.npy", probs)
    with pytest.raises(ValueError, match="holds no shards"):
        load_predictions(tmp_path)


def test_a_name_that_fits_a_file_and_shards_is_refused(tmp_path, probs):
    shards(tmp_path, probs, [10])
    np.save(tmp_path / "part.npy", probs)
    with pytest.raises(
        ValueError, match=r"both part.npy and part-00000.npy fit this name; give the suffix"
    ):
        load_predictions(tmp_path / "part")


def test_zarr_that_is_no_array_is_named(tmp_path, probs):
    zarr = pytest.importorskip("zarr")
    zarr.create_group(str(tmp_path / "group.zarr"))
    with pytest.raises(ValueError, match=r"group.zarr: cannot be read as a Zarr array"):
        load_predictions(tmp_path / "group.zarr")
    zarr_array(tmp_path / "cube.zarr", probs[None])
    with pytest.raises(ValueError, match=r"cube.zarr: must be an array of numbers"):
        load_predictions(tmp_path / "cube.zarr")


def test_files_of_columns_are_read_by_rows_and_pickled_by_path(tmp_path, probs):
    np.save(tmp_path / "f.npy", np.asfortranarray(probs))
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    for array in (mapped, mapped[:, 1:3], np.asarray(mapped)[:, 2:]):
        found = as_source(array)
        assert isinstance(found, Source)
        np.testing.assert_array_equal(found[3:17], array[3:17])
        assert len(pickle.dumps(found)) < 500
    assert isinstance(load_predictions(tmp_path / "f.npy").streamed().scores, Source)


def test_every_source_verifies_its_files(source):
    source.verify()
    path = Path(getattr(source, "source", source).path)
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    os.utime(files[-1], ns=(1, 2_000_000_000_000_000_000))
    with pytest.raises(SourceChangedError, match="was written to"):
        source.verify()


def test_edges_of_shards_pass_through_other_orders_of_columns(tmp_path, probs):
    folder = shards(tmp_path / "folder", probs, [3, 11])
    found = open_shards(folder, find_shards(folder))
    assert found.edges == Picked(found, columns=np.array([1, 0])).edges == (0, 3, 11, 20)
    assert OnDevice(found, "cpu").edges == (0, 3, 11, 20)
    assert OnDevice(probs, "cpu").edges == ()


def test_missing_and_damaged_chunks_are_named(tmp_path, probs):
    path = zarr_array(tmp_path / "preds.zarr", probs, chunks=(7, 4))
    found = ZarrSource.open(path)
    signature = found.signature()
    (path / "c" / "1" / "0").write_bytes(b"damage")
    assert ZarrSource.open(path).files != found.files
    with pytest.raises(SourceChangedError, match="was written to while it was read"):
        found.verify()
    with pytest.raises(ValueError, match=r"preds.zarr: cannot be read in rows 0\.\.19: "):
        ZarrSource.open(path)[:]
    (path / "c" / "1" / "0").unlink()
    with pytest.raises(SourceChangedError, match="went from 4 to 3 files"):
        found.verify()
    with pytest.raises(ValueError, match=r"preds.zarr: cannot be read: 1 of 3 chunks are missing"):
        ZarrSource.open(path)
    assert signature["files"] == list(found.files)


def test_chunks_left_out_for_their_fill_value_can_be_mended_as_the_message_says(tmp_path, probs):
    zarr = pytest.importorskip("zarr")
    probs[7:14] = [1, 0, 0, 0]
    logits = 40.0 * probs
    logits[7:14] = 0  # a chunk of nothing but the fill value
    path = zarr_array(tmp_path / "logits.zarr", logits, chunks=(7, 4))
    with pytest.raises(ValueError, match=r"cannot be read: 1 of 3 chunks are missing, as if") as no:
        load_predictions(path)
    mend = 'zarr.create_array(..., config={"write_empty_chunks": True})'
    assert str(no.value).endswith(mend)
    mended = zarr.create_array(
        str(tmp_path / "mended.zarr"), shape=logits.shape, chunks=(7, 4), dtype=logits.dtype,
        config={"write_empty_chunks": True},
    )  # fmt: skip
    mended[:] = logits
    loaded = load_predictions(tmp_path / "mended.zarr", kind="logits")
    np.testing.assert_array_equal(loaded.scores[:], logits)


@pytest.mark.parametrize("kind", [None, "probs"])
@pytest.mark.parametrize(("row", "place"), [(0, "row 0 of part-00000.npy (row 0 of all)"),
    (3, "row 0 of part-00002.npy (row 3 of all)"), (19, "row 8 of part-00003.npy (row 19 of all)"),
])  # fmt: skip
def test_faults_in_shards_name_the_shard_and_its_row(tmp_path, probs, row, place, kind):
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    for value, told in ((np.nan, ", column 2`"), (0.999, " sums to " if kind is None else "`")):
        spoilt = probs.copy()
        spoilt[row, 2] = value
        shards(tmp_path, spoilt, [3, 3, 11])
        with pytest.raises(ValueError, match=r"part-") as error:
            load_predictions(tmp_path, kind=kind)
        assert f"{place}{told}" in str(error.value)
    opened = open_shards(tmp_path, find_shards(tmp_path))
    assert Picked(opened, columns=np.array([1, 0])).row_name(row) == opened.row_name(row) == place


def test_large_row_numbers_of_shards_can_be_read(tmp_path):
    shards(tmp_path, np.eye(2)[np.zeros(12_000, int)], [10_983])
    opened = open_shards(tmp_path, find_shards(tmp_path))
    assert opened.row_name(11_000) == "row 17 of part-00001.npy (row 11,000 of all)"
