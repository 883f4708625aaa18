"""What is measured beside what: the engines' names, what they can solve, where they live."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import AuctionInstance

OURS: Final = "instgov"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What an engine says: weights of shape ``(n_bids,)``, its status, and its own gap or None."""

    weights: NDArray[np.float64]
    status: str
    gap: float | None = None


class Engine(Protocol):
    """Anything that solves auctions; it may keep what it knows from one call to the next."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Solve one auction."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """One engine of the bench.

    ``solves_full`` says whether it is asked for the full programme too; ``is_exact`` whether it
    promises the optimum to 1e-9; ``package`` is whose version is told, ``needs`` the module that
    must be importable.
    """

    module: str
    factory: str
    package: str
    needs: str
    solves_full: bool
    is_exact: bool


def _entry(
    module: str,
    factory: str,
    package: str,
    needs: str | None = None,
    *,
    solves_full: bool = False,
    is_exact: bool = False,
) -> EngineEntry:
    return EngineEntry(
        module=module,
        factory=factory,
        package=package,
        needs=needs or package,
        solves_full=solves_full,
        is_exact=is_exact,
    )


#: Every engine, ours first.
ENGINES: Final[Mapping[str, EngineEntry]] = MappingProxyType(
    {
        OURS: _entry(
            "ours", "Instgov", "instgov-dagster", "instgov_dagster", solves_full=True, is_exact=True
        ),
        "cvxpy+HIGHS": _entry("modelled", "cvxpy_highs", "cvxpy", solves_full=True, is_exact=True),
        "cvxpy+CLARABEL": _entry("modelled", "cvxpy_clarabel", "cvxpy", solves_full=True),
        "skfolio": _entry("libraries", "skfolio_default", "skfolio"),
        "skfolio+HIGHS": _entry("libraries", "skfolio_highs", "skfolio", is_exact=True),
        "scipy highs-ds": _entry("linear", "ScipyLinprog", "scipy", is_exact=True),
        "highspy full RU": _entry(
            "linear", "HighspyFull", "highspy", solves_full=True, is_exact=True
        ),
        "Riskfolio-Lib": _entry("libraries", "Riskfolio", "riskfolio-lib", "riskfolio"),
        "PyPortfolioOpt": _entry("libraries", "PyPortfolioOpt", "pyportfolioopt", "pypfopt"),
        "cvqp": _entry("libraries", "Cvqp", "cvqp"),
    }
)


def is_installed(name: str) -> bool:
    """Whether the library behind an engine can be imported."""
    return importlib.util.find_spec(ENGINES[name].needs) is not None


def version_of(name: str) -> str | None:
    """Give the version of the library behind an engine, None where it is not installed."""
    try:
        return importlib.metadata.version(ENGINES[name].package)
    except importlib.metadata.PackageNotFoundError:
        return None


def make_engine(name: str) -> Engine:
    """Make an engine that has not solved anything yet; only its own libraries are loaded.

    Raises
    ------
    ValueError
        If the name is not one of `ENGINES`.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, was {name!r}")
    entry = ENGINES[name]
    module = importlib.import_module(f"instgov_dagster.bench.auction.{entry.module}")
    engine: Engine = getattr(module, entry.factory)()
    return engine
