"""The shards of a night: each worker brings its own symbols, the night takes all or nothing.

A shard is its payloads in the archive, its bars in files named by their own digest, and one
manifest that names both. The manifest is put in place last and at once: a worker that was killed
before left nothing that counts, and one that runs again replaces the whole of it.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from instgov_dagster.adapters.markets.delivery.night import STRESS, Arrival, Delivery, deliver
from instgov_dagster.adapters.markets.protocol import MarketSource, ProviderAnswer
from instgov_dagster.adapters.runtime import FileLock, replace_durably
from instgov_dagster.adapters.runtime.shards import Shard, all_shards
from instgov_dagster.adapters.store.archive import archive_path, read_archived
from instgov_dagster.vocabulary.errors import DataRejected, SystemHalt
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_READERS: Final = 2
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voyage:
    """Which night the shards are of, and by whose rules and code their bars were read.

    Attributes
    ----------
    folder
        Of the shards of all days.
    raw_dir
        The archive of payloads.
    symbols
        Of the whole universe.
    """

    folder: Path
    raw_dir: Path
    asof: date
    symbols: tuple[str, ...]
    market: str
    config_hash: str
    code_hash: str

    def place(self, shard: Shard) -> Path:
        """Name the folder of one shard."""
        return self.folder / self.asof.isoformat() / shard.key

    def lock(self, shard: Shard) -> FileLock:
        """Give the lock of one shard: held by whoever brings it, or takes it into the store."""
        return FileLock(self.folder / f"{self.asof}-{shard.key}.lock")

    def stands_on(self, shard: Shard) -> dict[str, Any]:
        """Say what a manifest must say to be of this night: nothing else is appended to it."""
        return {
            "asof": self.asof.isoformat(),
            "shard": shard.key,
            "symbols": list(shard.share(self.symbols)),
            "market": self.market,
            "config_hash": self.config_hash,
            "code_hash": self.code_hash,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What one shard brought."""

    shard: Shard
    symbols: int
    bars: int
    stress_bars: int
    manifest_sha256: str
    notices: tuple[str, ...]


def bring_shard(
    voyage: Voyage,
    shard: Shard,
    source: MarketSource,
    held: Mapping[str, date],
    *,
    run_id: str,
    policy: HistoryPolicy,
) -> Shipment:
    """Fetch one shard's symbols into the archive and say that they are there.

    Parameters
    ----------
    held
        The first bar the store holds of each symbol.

    Raises
    ------
    LeaseHeld
        If another worker brings the same shard.
    SystemHalt
        ``AUDIT_WRITE_FAILED`` where the archive cannot be written.
    """
    place, head = voyage.place(shard), voyage.stands_on(shard)
    with voyage.lock(shard):
        arrival = deliver(
            source,
            head["symbols"],
            held,
            asof=voyage.asof,
            raw_dir=voyage.raw_dir,
            run_id=run_id,
            policy=policy,
        )
        parts = [_write_part(place, delivery) for delivery in arrival.deliveries]
        body = _manifest(head | {"run_id": run_id, "parts": parts}, arrival)
        _replaced(place / _MANIFEST, body)
        named = {_MANIFEST, *(f"{part['frame_sha256']}.parquet" for part in parts)}
        for path in place.iterdir():
            if path.name not in named:
                path.unlink()  # of a shard brought before, which is nobody's now
    rows = {delivery.purpose: delivery.frame.height for delivery in arrival.deliveries}
    return Shipment(
        shard=shard,
        symbols=len(head["symbols"]),
        bars=rows[""],
        stress_bars=rows.get(STRESS, 0),
        manifest_sha256=hashlib.sha256(body).hexdigest(),
        notices=arrival.notices,
    )


def _write_part(place: Path, delivery: Delivery) -> dict[str, Any]:
    buffer = io.BytesIO()
    delivery.frame.write_parquet(buffer)
    body = buffer.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    _replaced(place / f"{digest}.parquet", body)
    payloads = {s: [delivery.archived_as[s], sha] for s, sha in delivery.sha256.items()}
    return {"purpose": delivery.purpose, "frame_sha256": digest, "payloads": payloads}


def _replaced(path: Path, body: bytes) -> None:
    try:
        replace_durably(path, body)
    except OSError as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{path}: {error}") from error


def _manifest(head: Mapping[str, Any], arrival: Arrival) -> bytes:
    told = {
        **head,
        "provider": arrival.provider,
        "first_dates": {s: day.isoformat() for s, day in arrival.first_dates.items()},
        "answers": [asdict(answer) for answer in arrival.answers],
        "notices": list(arrival.notices),
    }
    return (json.dumps(told, sort_keys=True) + "\n").encode()


def missing_shards(voyage: Voyage, count: int) -> tuple[Shard, ...]:
    """Give the shards of a night that have not arrived; nothing is read but their manifests."""
    return tuple(shard for shard in all_shards(count) if _why_not(voyage, shard) is not None)


def gather_shards(voyage: Voyage, count: int) -> Arrival:
    """Prove that every shard of a night is there and whole, and give them as one arrival.

    Raises
    ------
    DataRejected
        ``SHARDS_INCOMPLETE``, naming each shard that is missing, unfinished, or brought for other
        symbols, rules or code than this night's.
    SystemHalt
        ``CHAIN_BROKEN`` where a payload or a file of bars is not the one a manifest names.
    LeaseHeld
        If a shard is being brought at this moment.
    """
    shards = all_shards(count)
    with ExitStack() as still:
        # No shard is replaced while it is read; one that is being brought refuses the night.
        for shard in shards:
            still.enter_context(voyage.lock(shard))
        return _gathered(voyage, shards)


def _gathered(voyage: Voyage, shards: Sequence[Shard]) -> Arrival:
    found = {shard: _why_not(voyage, shard) for shard in shards}
    late = [f"{shard.key}: {why}" for shard, why in found.items() if why is not None]
    if late:
        raise DataRejected(
            ReasonCode.SHARDS_INCOMPLETE,
            f"{len(late)} of {len(shards)} shards of {voyage.asof} have not arrived:"
            f" {'; '.join(late)}",
        )
    return _merged([_opened(voyage, shard) for shard in shards])


def _told(voyage: Voyage, shard: Shard) -> Any:
    return json.loads((voyage.place(shard) / _MANIFEST).read_bytes())


def _why_not(voyage: Voyage, shard: Shard) -> str | None:
    try:
        told = _told(voyage, shard)
    except FileNotFoundError:
        return "nothing is there"
    except ValueError:
        return "its manifest cannot be read"
    wanted = voyage.stands_on(shard)
    other = [n for n, value in wanted.items() if not isinstance(told, dict) or told.get(n) != value]
    return f"it is of another {', '.join(other)}" if other else None


def _opened(voyage: Voyage, shard: Shard) -> Arrival:
    told = _told(voyage, shard)
    return Arrival(
        provider=told["provider"],
        first_dates={s: date.fromisoformat(day) for s, day in told["first_dates"].items()},
        answers=tuple(
            ProviderAnswer(**{**answer, "reason_code": ReasonCode(answer["reason_code"])})
            for answer in told["answers"]
        ),
        notices=tuple(told["notices"]),
        deliveries=tuple(
            _read_part(voyage, voyage.place(shard), told["run_id"], part) for part in told["parts"]
        ),
    )


def _read_part(voyage: Voyage, place: Path, run_id: str, part: Mapping[str, Any]) -> Delivery:
    payloads: dict[str, list[str]] = part["payloads"]

    def prove(symbol: str) -> None:
        name, digest = payloads[symbol]
        read_archived(archive_path(voyage.raw_dir, run_id, symbol, name), sha256=digest)

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(prove, payloads))
    path = place / f"{part['frame_sha256']}.parquet"
    try:
        body = path.read_bytes()
    except OSError as error:
        raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{path} cannot be read: {error}") from error
    if hashlib.sha256(body).hexdigest() != part["frame_sha256"]:
        raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{path} does not hash to its name")
    return Delivery(
        frame=pl.read_parquet(io.BytesIO(body)),
        sha256={symbol: digest for symbol, (_, digest) in payloads.items()},
        archived_as={symbol: name for symbol, (name, _) in payloads.items()},
        purpose=part["purpose"],
    )


def _merged(arrivals: Sequence[Arrival]) -> Arrival:
    every = [delivery for arrival in arrivals for delivery in arrival.deliveries]
    purposes = [p for p in (STRESS, "") if any(delivery.purpose == p for delivery in every)]
    return Arrival(
        provider=", ".join(sorted({arrival.provider for arrival in arrivals})),
        first_dates={s: day for arrival in arrivals for s, day in arrival.first_dates.items()},
        answers=tuple(answer for arrival in arrivals for answer in arrival.answers),
        notices=tuple(notice for arrival in arrivals for notice in arrival.notices),
        deliveries=tuple(
            _one_delivery([d for d in every if d.purpose == purpose], purpose)
            for purpose in purposes
        ),
    )


def _one_delivery(parts: Sequence[Delivery], purpose: str) -> Delivery:
    frame = pl.concat([part.frame for part in parts])
    return Delivery(
        frame=frame.sort("symbol", "date", maintain_order=True),
        sha256={s: digest for part in parts for s, digest in part.sha256.items()},
        archived_as={s: name for part in parts for s, name in part.archived_as.items()},
        purpose=purpose,
    )


def prune_shards(folder: Path, *, before: date) -> tuple[str, ...]:
    """Delete what shards brought for the days before one, and their locks; give the days."""
    gone: set[str] = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        day = path.name[:10]
        try:
            is_old = date.fromisoformat(day) < before
        except ValueError:
            continue  # none of ours
        if is_old:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            gone.add(day)
    return tuple(sorted(gone))
