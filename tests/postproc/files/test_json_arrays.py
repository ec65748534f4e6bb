"""Arrays in JSON: exact, of any shape and dtype."""

import json

import numpy as np
import pytest

from postproc.files.json_arrays import decode_array, encode_array, is_array


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f4", "<f2", "<i8", "|u1", "|b1", "<U3"])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (0, 4), ()])
def test_arrays_come_back_to_the_last_bit(as_text, dtype, shape):
    values = np.random.default_rng(0).uniform(high=200, size=shape)
    array = np.asarray(values).astype(dtype)
    encoded = json.loads(json.dumps(encode_array(array, as_text=as_text)))
    assert is_array(encoded)
    found = decode_array(encoded)
    assert (found.dtype.str, found.shape) == (array.dtype.str, array.shape)
    np.testing.assert_array_equal(found, array)


def test_text_may_hold_what_lists_may_not():
    array = np.array([np.nan, np.inf, -0.0])[::-1]
    np.testing.assert_array_equal(decode_array(encode_array(array, as_text=True)), array)


def test_other_objects_are_no_arrays():
    assert not is_array({"array": [1], "dtype": "<f8"})
    assert not is_array({"dict": []})
