"""Which symbol is whose: by its own hash, whole, and the same in every process."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.runtime.shards import Shard, all_shards, shard_count
from instgov_dagster.vocabulary.errors import InputError


@given(st.sets(st.text(min_size=1), max_size=40), st.integers(1, 64))
def test_every_symbol_is_in_exactly_one_shard(symbols: set[str], count: int) -> None:
    shares = [shard.share(symbols) for shard in all_shards(count)]
    assert sorted(symbol for share in shares for symbol in share) == sorted(symbols)


def test_a_symbol_is_placed_by_the_first_eight_bytes_of_its_hash() -> None:
    place = int(hashlib.sha256(b"AAPL").hexdigest()[:16], 16) % 4 + 1
    assert [shard.number for shard in all_shards(4) if shard.holds("AAPL")] == [place]


def test_five_thousand_symbols_are_shared_out_evenly() -> None:
    sizes = [len(shard.share(f"S{n:05d}" for n in range(5000))) for shard in all_shards(4)]
    # Binomial with 1/4 of 5000: a standard deviation of 31 about 1250.
    assert sum(sizes) == 5000
    assert all(abs(size - 1250) < 4 * 31 for size in sizes)


@given(st.integers(1, 64).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))))
def test_a_shard_is_read_back_from_its_name(place: tuple[int, int]) -> None:
    shard = Shard(number=place[0], of=place[1])
    assert Shard.named(shard.key) == shard


@pytest.mark.parametrize("key", ["", "1-of-4", "00-of-04", "05-of-04", "01-of-65", "01-of-04 "])
def test_what_names_no_shard_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="shard"):
        Shard.named(key)


def test_without_a_word_there_is_one_shard() -> None:
    assert shard_count({}) == shard_count({"INSTGOV_INGEST_SHARDS": " "}) == 1
    assert shard_count({"INSTGOV_INGEST_SHARDS": "8"}) == 8


@pytest.mark.parametrize("text", ["0", "65", "-1", "2.5", "four", "٤"])
def test_a_count_that_is_none_is_refused_with_its_name_and_bound(text: str) -> None:
    with pytest.raises(InputError, match=r"INSTGOV_INGEST_SHARDS must be .* from 1 to 64, was"):
        shard_count({"INSTGOV_INGEST_SHARDS": text})
