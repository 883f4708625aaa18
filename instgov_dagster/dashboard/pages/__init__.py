"""The pages of the board, in the order they are read; each lays out one reading of a home."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from instgov_dagster.dashboard.model import Page, Rhythm
from instgov_dagster.dashboard.pages import (
    audit,
    beliefs,
    data_quality,
    decisions,
    execution,
    overview,
    risk,
    strategies,
)
from instgov_dagster.dashboard.reading.board import Board


class PageModule(Protocol):
    """What a page's module says of it."""

    KEY: str
    TITLE: str
    #: The published folders it stands on, and what else changes it.
    FOLDERS: tuple[str, ...]
    RHYTHM: Rhythm

    def page(self, board: Board, query: Mapping[str, str]) -> Page:
        """Lay the page out."""
        ...


#: The pages by key.
PAGES: Final[Mapping[str, PageModule]] = MappingProxyType(
    {
        module.KEY: module
        for module in (
            overview,
            risk,
            decisions,
            data_quality,
            beliefs,
            strategies,
            execution,
            audit,
        )
    }
)


def version_of(key: str, board: Board) -> str:
    """Name what a page stands on: it changes whenever the page may."""
    module = PAGES[key]
    return board.version(module.RHYTHM, *module.FOLDERS)
