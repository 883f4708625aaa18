"""State as bytes: bit-equal back, the same bytes everywhere, refused when touched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from instgov_dagster.beliefs.hot.packing import pack_state, unpack_state

arrays = npst.arrays(
    st.sampled_from([np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_)]),
    npst.array_shapes(max_dims=3, max_side=4, min_side=0),
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), arrays, max_size=4))
def test_every_state_comes_back_bit_for_bit_and_writable(state: dict[str, np.ndarray]) -> None:
    back = unpack_state(pack_state(state))
    assert set(back) == set(state)
    for name, array in state.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == np.ascontiguousarray(array).tobytes()
        assert back[name].flags.writeable


def test_the_order_of_the_names_changes_no_byte() -> None:
    a, b = np.arange(3.0), np.ones((2, 2), dtype=np.int64)
    assert pack_state({"a": a, "b": b}) == pack_state({"b": b, "a": a})


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_state_with_one_bit_turned_or_its_end_cut_is_refused(place: int, mask: int) -> None:
    packed = bytearray(pack_state({"x": np.arange(16.0), "y": np.zeros(2, dtype=np.int64)}))
    packed[place % len(packed)] ^= mask
    with pytest.raises(ValueError, match="digest"):
        unpack_state(bytes(packed))
    with pytest.raises(ValueError, match="digest"):
        unpack_state(bytes(packed[: place % 30]))
