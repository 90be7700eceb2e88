"""The bytes of arrays, in the form that each library takes as it is."""

from array import array

import numpy as np
import pytest
import torch

from vmem_ros.messages.message_types import MessageTypes


@pytest.mark.parametrize("values", [torch.arange(6, dtype=torch.float32), np.arange(6, dtype=np.float32)])
def test_tensors_and_arrays_become_their_bytes(types: MessageTypes, values) -> None:
    data = types.bytes_of(values)
    np.testing.assert_array_equal(np.frombuffer(data, np.float32), values)
    assert len(data) == 24


def test_no_library_converts_it_element_by_element(types: MessageTypes) -> None:
    """rclpy takes an ``array.array`` of the right type as a block, rosbags writes NumPy alone."""
    data = types.bytes_of(np.arange(6, dtype=np.float32))
    coefficients = types.array(np.zeros(5))
    if isinstance(data, array):
        assert (data.typecode, coefficients.typecode) == ("B", "d")
    else:
        assert (data.dtype, coefficients.dtype) == (np.uint8, np.float64)


def test_empty(types: MessageTypes) -> None:
    assert len(types.bytes_of(np.zeros((0, 8), np.float32))) == 0


def test_strided_values_are_copied_in_order(types: MessageTypes) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2]
    assert bytes(types.bytes_of(values)) == values.tobytes()
