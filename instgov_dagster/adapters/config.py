"""YAML into frozen dataclasses by their type hints; a bad value is one sentence naming it."""

import dataclasses
import hashlib
import json
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from instgov_dagster.bars.classify import is_reference_symbol
from instgov_dagster.vocabulary.bars import Universe, UniverseSymbol
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError

POLICY_FILE = "policy.yaml"
UNIVERSE_FILE = "universe.yaml"
CONFIG_VARIABLE = "INSTGOV_CONFIG"

_T = TypeVar("_T")
_PACKAGE = Path(__file__).resolve().parent.parent
_PACKAGED_DEFAULTS = (_PACKAGE / "_config", _PACKAGE.parent / "config")
_BOUND_WORDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = types.MappingProxyType(
    {
        "ge": (">=", operator.ge),
        "gt": (">", operator.gt),
        "le": ("<=", operator.le),
        "lt": ("<", operator.lt),
    }
)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 words only: ``ON`` is a ticker, ``1e-8`` a number, a key given twice an error."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)",
        list("-+.0123456789"),
    ),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", list("0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
    )


def _mapping_once(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise InputError(f"{key} must be given once, was given again in line {line}")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_once)


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises
    ------
    InputError
        If the file cannot be read, is no YAML or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with fewer words
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path.name} is no valid YAML: {' '.join(str(error).split())}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where in which file a value stands."""

    file: str
    key: str = ""

    def at(self, name: str) -> "_Place":
        return _Place(self.file, f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> "_Place":
        return _Place(self.file, f"{self.key}[{index}]")

    def refuse(self, wanted: str, value: Any) -> InputError:
        subject = self.key or "the file"
        return InputError(f"{self.file}: {subject} must be {wanted}, was {value!r}")


def from_plain(kind: type[_T], value: Any, *, file: str, key: str = "") -> _T:
    """Build a dataclass from plain YAML values by its type hints.

    Parameters
    ----------
    kind
        A dataclass; its fields may be numbers, texts, flags, dates, enums, dataclasses, and
        tuples of those; a tuple of pairs is a mapping in the file.
    file, key
        Name of the file and of the key, for the error's text.

    Raises
    ------
    InputError
        On an unknown key, a missing one, a wrong type or a value out of bounds: one sentence.
    """
    built: _T = _dataclass(kind, value, _Place(file, key))
    return built


def _dataclass(kind: Any, value: Any, place: _Place) -> Any:
    if not isinstance(value, dict):
        raise place.refuse(f"a mapping of {kind.__name__}'s fields", value)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            known = ", ".join(fields)
            raise InputError(f"{place.file}: unknown key {place.at(str(name)).key}; known: {known}")
    hints = typing.get_type_hints(kind)
    arguments = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = _convert(hints[name], value[name], place.at(name))
            _check_bounds(field, arguments[name], place.at(name), was=value[name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{place.file}: {place.at(name).key} is required and missing")
    try:
        return kind(**arguments)
    except ValueError as error:
        subject = f"{place.key}: " if place.key else ""
        raise InputError(f"{place.file}: {subject}{error}") from error


def _check_bounds(field: dataclasses.Field[Any], value: Any, place: _Place, *, was: Any) -> None:
    bounds = field.metadata.get("bounds", {})
    if not all(_BOUND_WORDS[word][1](value, bound) for word, bound in bounds.items()):
        words = (f"{_BOUND_WORDS[word][0]} {bound:g}" for word, bound in bounds.items())
        raise place.refuse(" and ".join(words), was)


def _convert(kind: Any, value: Any, place: _Place) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = [k for k in typing.get_args(kind) if k is not type(None)]
        return None if value is None else _convert(inner[0], value, place)
    if origin is tuple:
        return _tuple(typing.get_args(kind), value, place)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum(kind, value, place)
    return _scalar(kind, value, place)


def _enum(kind: type[StrEnum], value: Any, place: _Place) -> StrEnum:
    if not isinstance(value, str) or value not in {m.value for m in kind}:
        raise place.refuse(f"one of {', '.join(m.value for m in kind)}", value)
    return kind(value)


def _tuple(kinds: tuple[Any, ...], value: Any, place: _Place) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return _sequence(kinds[0], value, place)
    if not isinstance(value, list) or len(value) != len(kinds):
        raise place.refuse(f"a list of {len(kinds)}", value)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_convert(kind, item, place.item(i)) for i, (kind, item) in pairs)


def _sequence(kind: Any, value: Any, place: _Place) -> tuple[Any, ...]:
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and len(inner) == 2 and inner[1] is not Ellipsis:
        if not isinstance(value, dict):
            raise place.refuse("a mapping", value)
        pairs = (
            (_convert(inner[0], k, place), _convert(inner[1], v, place.at(str(k))))
            for k, v in value.items()
        )
        return tuple(sorted(pairs))
    if not isinstance(value, list):
        raise place.refuse("a list", value)
    return tuple(_convert(kind, item, place.item(i)) for i, item in enumerate(value))


def _scalar(kind: Any, value: Any, place: _Place) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        if not math.isfinite(value):
            raise place.refuse("a finite number", value)
        return float(value)
    if kind is date and isinstance(value, date) and not isinstance(value, datetime):
        return value
    if (kind is int and is_number and isinstance(value, int)) or (
        kind in (str, bool) and isinstance(value, kind)
    ):
        return value
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    raise place.refuse(words.get(kind, "a date like 2024-12-06"), value)


def find_config_dir(
    explicit: Path | None, *, environment: Mapping[str, str], working_dir: Path
) -> Path:
    """Find the configuration: what was asked for, INSTGOV_CONFIG, ./config, packaged defaults.

    Raises
    ------
    InputError
        If a folder that was named holds no policy.yaml.
    """
    named = environment.get(CONFIG_VARIABLE)
    for source, folder in (("--config", explicit), (CONFIG_VARIABLE, Path(named or ""))):
        if folder is None or (source == CONFIG_VARIABLE and not named):
            continue
        if not (folder / POLICY_FILE).is_file():
            raise InputError(f"{source} must name a folder with {POLICY_FILE}, was {folder}")
        return folder
    for folder in (working_dir / "config", *_PACKAGED_DEFAULTS):
        if (folder / POLICY_FILE).is_file():
            return folder
    raise InputError(f"no configuration found: no {POLICY_FILE} in {working_dir / 'config'}")


def load_policy(config_dir: Path) -> Policy:
    """Load ``policy.yaml``; a field it does not name keeps its default.

    Raises
    ------
    InputError
        On anything that is no policy, naming file, key, value and bound.
    """
    value = read_yaml(config_dir / POLICY_FILE)
    return from_plain(Policy, {} if value is None else value, file=POLICY_FILE)


def load_universe(config_dir: Path) -> Universe:
    """Load ``universe.yaml``: ``symbols``, each with its sector, class and listing date.

    Raises
    ------
    InputError
        On anything that is no universe, naming file, key and value.

    Notes
    -----
    ``class`` is short for ``asset_class``; a class of REFERENCE or MACRO, and a symbol that is a
    reference by its form, sets ``is_reference``.
    """
    value = read_yaml(config_dir / UNIVERSE_FILE)
    if not isinstance(value, dict) or not isinstance(value.get("symbols"), list):
        raise InputError(f"{UNIVERSE_FILE}: symbols must be a list, was {value!r:.60}")
    rows = [_universe_row(item) for item in value["symbols"]]
    if not rows:
        raise InputError(f"{UNIVERSE_FILE}: symbols must hold at least one symbol, was []")
    return from_plain(Universe, value | {"symbols": rows}, file=UNIVERSE_FILE)


def _universe_row(item: Any) -> Any:
    if isinstance(item, str):
        item = {"symbol": item}
    if not isinstance(item, dict) or not isinstance(item.get("symbol"), str):
        return item
    row = dict(item)
    if "class" in row:
        row["asset_class"] = row.pop("class")
    declared = row.get("asset_class")
    if "is_reference" not in row and is_reference_symbol(
        row["symbol"], declared if isinstance(declared, str) else None
    ):
        row["is_reference"] = True
        row["asset_class"] = None
    return row


def config_sha256(policy: Policy, universe: Universe) -> str:
    """Hash what was loaded: the same numbers give the same hash, however the files are written."""
    symbols = sorted(universe.symbols, key=_by_symbol)
    value = {
        "policy": dataclasses.asdict(policy),
        "universe": [dataclasses.asdict(s) for s in symbols],
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_text)
    return hashlib.sha256(text.encode()).hexdigest()


def _by_symbol(row: UniverseSymbol) -> str:
    return row.symbol


def _text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"cannot hash {value!r}")
