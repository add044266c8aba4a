"""Comparison of recordings."""

import numpy as np

from brainscore_itmaps.data.recording import Recording


def assert_same(found, expected):
    for name in Recording.__dataclass_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        if name == "grid":
            np.testing.assert_array_equal(one.y, other.y)
            np.testing.assert_array_equal(one.x, other.x)
            assert one.extent == other.extent
        elif name == "images":
            assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]
            assert [file.name for file in one] == [file.name for file in other]
        elif name in ("maps", "repeats"):
            np.testing.assert_array_equal(one, other)
            assert (one is None) == (other is None)
            assert one is None or one.dtype == other.dtype
        else:
            assert one == other, name
