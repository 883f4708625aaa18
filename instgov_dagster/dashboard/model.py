"""The shapes of what is shown: cells, tables, sections and pages; nothing is read or drawn here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: What a cell of a table may hold; how it is written is the table's writer's matter.
Cell: TypeAlias = str | int | float | bool | None


class Standing(StrEnum):
    """What the numbers of a session are worth now.

    ``LIVE`` a leader beats and its numbers are of this moment; ``STALE`` its chain is open and
    nothing beats, or what is published cannot be read; ``ENDED`` the last session ended as it
    should, its numbers are its last; ``EMPTY`` there never was one.
    """

    LIVE = "LIVE"
    STALE = "STALE"
    ENDED = "ENDED"
    EMPTY = "EMPTY"


class Rhythm(StrEnum):
    """What changes a page: a new publication, each cycle too, or each reading of the home."""

    PUBLICATION = "PUBLICATION"
    CYCLE = "CYCLE"
    SECOND = "SECOND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table beside a picture: the same numbers, for whoever does not see the picture.

    Attributes
    ----------
    links
        One address a row, or none: where its first cell leads.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    links: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wide = {len(row) for row in self.rows} - {len(self.columns)}
        if wide:
            raise ValueError(f"a row must have {len(self.columns)} cells, was {sorted(wide)}")
        if self.links and len(self.links) != len(self.rows):
            raise ValueError(f"links must be one a row, {len(self.rows)}, was {len(self.links)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """One part of a page.

    Attributes
    ----------
    key
        Unique within the whole board; letters, digits and hyphens.
    says
        What it shows, in one sentence: it is read aloud in the picture's place.
    source
        Where its numbers come from and of when they are.
    missing
        Why there is nothing to show; empty where there is.
    """

    key: str
    title: str
    says: str
    source: str
    figure: "go.Figure | None" = None
    tables: tuple[Table, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One number of the overview: its name, its value as written, a word about it, its alarm.

    ``level`` is ``ok``, ``warn``, ``bad`` or ``none`` where nothing is known.
    """

    name: str
    value: str
    note: str = ""
    level: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionForm:
    """Which decision is taken apart, and the symbols there are to choose from."""

    symbols: tuple[str, ...]
    symbol: str
    cycle: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One page of the board: its tiles, its form where it has one, then its sections."""

    key: str
    title: str
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()
    form: "DecisionForm | None" = None
