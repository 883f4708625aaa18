"""FRED's observations: one number a day, a dot where there is none."""

from datetime import date
from typing import Any, Final

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import (
    ParsedBars,
    Rows,
    Wanted,
    parsed_bars,
    read_json,
    text_number,
)
from instgov_dagster.adapters.markets.live.plain import Getter

PROVIDER: Final = "fred"
BASE_URL: Final = "https://api.stlouisfed.org"
_MISSING: Final = "."


class FredHistory:
    """Reference series; an observation stands for the whole bar of its day.

    The key travels in the address, as FRED wants it: no address is ever kept or said.
    """

    def __init__(self, asker: Asker, get: Getter, *, key: str, base_url: str = BASE_URL) -> None:
        self._asker = asker
        self._get = get
        self._key = key
        self._base_url = base_url

    @property
    def name(self) -> str:
        """The provider's name in the capability matrix."""
        return PROVIDER

    def fetch(self, wanted: Wanted) -> bytes:
        """Ask for one series.

        Raises
        ------
        ProviderRefused
            Where it was refused, or no whole answer came.
        """
        params = {
            "series_id": wanted.symbol,
            "api_key": self._key,
            "file_type": "json",
            "observation_start": wanted.start.isoformat(),
            "observation_end": date.fromordinal(wanted.end.toordinal() - 1).isoformat(),
        }
        answer = self._asker.ask(
            lambda: self._get(f"{self._base_url}/fred/series/observations", params, {}),
            provider=PROVIDER,
            symbol=wanted.symbol,
            purpose=wanted.purpose,
        )
        return answer.body

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read the observations.

        Raises
        ------
        DataRejected
            ``PROVIDER_MALFORMED``.
        """
        return parsed_bars(PROVIDER, wanted, lambda: _rows(read_json(body)), unit="observations")


def _rows(answer: Any) -> tuple[Rows, int]:
    observations = answer.get("observations") if isinstance(answer, dict) else None
    if not isinstance(observations, list):
        raise ValueError("observations must be a list")
    rows: Rows = []
    for entry in observations:
        if not isinstance(entry, dict):
            raise ValueError("an observation must be an object")
        told = entry.get("value")
        if told == _MISSING:
            continue
        day, value = date.fromisoformat(str(entry.get("date"))), text_number(told)
        prices = dict.fromkeys(("open", "high", "low", "close", "adj_close"), value)
        rows.append({"date": day, **prices, "volume": None})
    return rows, len(observations) - len(rows)
