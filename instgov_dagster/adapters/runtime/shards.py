"""A night's symbols cut into shards: how many there are, and which symbol is whose."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from instgov_dagster.vocabulary.errors import InputError

#: How many shards fill the archive of a night; one, or nothing, and the night asks by itself.
SHARDS_VARIABLE: Final = "INSTGOV_INGEST_SHARDS"
MAX_SHARDS: Final = 64

_KEY = re.compile(r"(\d{2})-of-(\d{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One part of a night's symbols: ``number`` counts from 1 to ``of``."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.of <= MAX_SHARDS:
            raise InputError(f"shards must be from 1 to {MAX_SHARDS}, were {self.of}")
        if not 1 <= self.number <= self.of:
            raise InputError(f"a shard must be from 1 to {self.of}, was {self.number}")

    @property
    def key(self) -> str:
        """Name it, its count beside it: shards of another count are other shards."""
        return f"{self.number:02d}-of-{self.of:02d}"

    @classmethod
    def named(cls, key: str) -> "Shard":
        """Read a shard's name.

        Raises
        ------
        InputError
            If it is none.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise InputError(f"a shard must be named like 01-of-04, was {key!r}")
        return cls(number=int(found[1]), of=int(found[2]))

    def holds(self, symbol: str) -> bool:
        """Tell whether a symbol is of this shard: by the symbol's hash, so for good.

        Which symbols the universe has beside it changes nothing, and no two processes disagree.
        """
        digest = hashlib.sha256(symbol.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def share(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Give the symbols of this shard, sorted."""
        return tuple(sorted(symbol for symbol in symbols if self.holds(symbol)))


def all_shards(count: int) -> tuple[Shard, ...]:
    """Give every shard of a count."""
    return tuple(Shard(number=number, of=count) for number in range(1, count + 1))


def shard_count(environment: Mapping[str, str]) -> int:
    """Read how many shards fill the archive of a night; 1 where nothing says so.

    Raises
    ------
    InputError
        If it is no whole number from 1 to `MAX_SHARDS`.
    """
    text = environment.get(SHARDS_VARIABLE, "").strip() or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_SHARDS):
        raise InputError(
            f"{SHARDS_VARIABLE} must be a whole number from 1 to {MAX_SHARDS}, was {text!r}"
        )
    return int(text)
