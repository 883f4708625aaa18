"""The spans a survival replay is asked for by name: the crises, and all that is held."""

from dataclasses import dataclass
from datetime import date
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """First and last day, None where the history itself says."""

    start: date | None
    end: date | None


#: The name of everything that is held.
FULL: Final = "full"
SPANS: Final[dict[str, Span]] = {
    "2008": Span(start=date(2008, 9, 2), end=date(2009, 6, 30)),
    "2011": Span(start=date(2011, 7, 1), end=date(2011, 12, 30)),
    "2015": Span(start=date(2015, 8, 3), end=date(2016, 3, 31)),
    "2018-Q4": Span(start=date(2018, 10, 1), end=date(2018, 12, 31)),
    "2020": Span(start=date(2020, 2, 3), end=date(2020, 6, 30)),
    "2022": Span(start=date(2022, 1, 3), end=date(2022, 12, 30)),
    FULL: Span(start=None, end=None),
}
