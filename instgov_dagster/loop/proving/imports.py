"""Who knows the broker and the router, by the sources of the installed package themselves."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_ALPACA_MARKET = "instgov_dagster.adapters.markets.live.alpaca"
_ALPACA_DESK = "instgov_dagster.adapters.broker.alpaca_desk"
#: What nobody outside it may import but those named: the build's import contracts say the same of
#: our own. Of the Alpaca client the market reads data; only the desk can trade.
GUARDED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "alpaca": frozenset(
            {_ALPACA_DESK, *(f"{_ALPACA_MARKET}.{name}" for name in ("bars", "quotes", "wire"))}
        ),
        "alpaca.trading": frozenset({_ALPACA_DESK}),
        "alpaca.broker": frozenset(),
        "instgov_dagster.adapters.broker": frozenset({"instgov_dagster.loop.live.router"}),
        "instgov_dagster.loop.live.router": frozenset(
            {"instgov_dagster.loop.session", "instgov_dagster.loop.proving.wire"}
        ),
    }
)
#: Calls by name and the only modules that may make them: a broker opened, an order minted.
CALLS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Router.opened": frozenset({"instgov_dagster.loop.session"}),
        "PaperBroker.open": frozenset({"instgov_dagster.loop.live.router"}),
        "AlpacaBroker.open": frozenset({"instgov_dagster.loop.live.router"}),
        "ApprovedOrder": frozenset({"instgov_dagster.governance.proof"}),
    }
)
_DYNAMIC = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """One guarded name: who uses it, and who may."""

    target: str
    users: tuple[str, ...]
    allowed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nobody uses it who may not."""
        return set(self.users) <= set(self.allowed)


def module_name(path: Path, package: Path) -> str:
    """Name the module of a source file."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Give every name a source imports, wherever the statement stands, dynamic ones by text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _last(node.func) in _DYNAMIC:
            yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))


def called(tree: ast.AST) -> Iterator[str]:
    """Give every call of a source by its last name, and its last two."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield _last(node.func)
            if isinstance(node.func, ast.Attribute):
                yield f"{_last(node.func.value)}.{node.func.attr}"


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def walk_sources(package: Path | None = None) -> tuple[Guarded, ...]:
    """Read every source of the package and say who uses what is guarded.

    Parameters
    ----------
    package
        The package's folder; the installed one by default.
    """
    folder = package or Path(__file__).resolve().parents[2]
    users: dict[str, set[str]] = {name: set() for name in (*GUARDED, *CALLS)}
    for path in sorted(folder.rglob("*.py")):
        module = module_name(path, folder)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = set(imported(tree, module))
        for target in GUARDED:
            if not _is_within(module, target) and any(_is_within(n, target) for n in names):
                users[target].add(module)
        for target in CALLS.keys() & set(called(tree)):
            users[target].add(module)
    return tuple(
        Guarded(target=target, users=tuple(sorted(users[target])), allowed=tuple(sorted(allowed)))
        for target, allowed in {**GUARDED, **CALLS}.items()
    )
