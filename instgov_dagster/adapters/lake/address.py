"""Where the lake is, from the environment, and that what it takes is installed; nothing opens."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import duckdb

from instgov_dagster.vocabulary.errors import InputError

LAKE_VARIABLE: Final = "INSTGOV_LAKE"
DATA_VARIABLE: Final = "INSTGOV_LAKE_DATA"
ENDPOINT_VARIABLE: Final = "INSTGOV_LAKE_S3_ENDPOINT"
_KEY_VARIABLE: Final = "AWS_ACCESS_KEY_ID"
_SECRET_VARIABLE: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  # a variable's name
_REGION_VARIABLE: Final = "AWS_REGION"
_PREFIX: Final = "ducklake:"
_S3: Final = "s3://"
_HIDDEN: Final = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """How an object store that speaks S3 is reached.

    Attributes
    ----------
    endpoint
        Host and port where it is not Amazon's own; empty otherwise.
    """

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    region: str
    endpoint: str
    is_encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAddress:
    """Where catalog and data are; neither its text nor an error of it tells a secret.

    Attributes
    ----------
    catalog
        What libpq takes: words ``name=value`` or a URL.
    data
        A folder that every writer sees, or ``s3://bucket/prefix``.
    extensions
        DuckDB's extension files, in the order they are loaded.
    """

    catalog: str = field(repr=False)
    data: str
    extensions: tuple[Path, ...] = field(repr=False)
    store: ObjectStore | None = None

    def without_secrets(self, text: str) -> str:
        """Return a text of DuckDB or Postgres on one line, every secret of the address hidden."""
        secrets = {self.catalog, *_passwords(self.catalog)}
        if self.store is not None:
            secrets |= {self.store.secret, self.store.key_id}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return " ".join(text.split())


def lake_from(environment: Mapping[str, str]) -> LakeAddress | None:
    """Read where the lake is; None where the environment names none.

    Raises
    ------
    InputError
        If the address is malformed, its data has no place, or an extension or psycopg2 is not
        installed: whoever asked for a lake gets no night without one.
    """
    text = environment.get(LAKE_VARIABLE, "")
    if not text:
        return None
    data = environment.get(DATA_VARIABLE, "")
    is_remote = data.startswith(_S3)
    if not is_remote and not Path(data).is_absolute():
        raise InputError(
            f"{DATA_VARIABLE} must be an absolute folder or {_S3}bucket/prefix, was {data!r}"
        )
    wanted = ("ducklake", "postgres_scanner", *(("httpfs",) if is_remote else ()))
    return LakeAddress(
        catalog=_catalog(text),
        data=data,
        extensions=tuple(_extension(name) for name in wanted),
        store=_object_store(environment) if is_remote else None,
    )


def _catalog(text: str) -> str:
    rest = text.removeprefix(_PREFIX)
    is_url = rest.startswith(("postgresql://", "postgres://"))
    catalog = rest if is_url else rest.removeprefix("postgres:")
    if rest == text or (catalog == rest and not is_url) or not catalog.strip():
        # What was written may hold a password: it is not told.
        raise InputError(
            f"{LAKE_VARIABLE} must be ducklake:postgres:dbname=… or ducklake:postgresql://…"
        )
    if importlib.util.find_spec("psycopg2") is None:
        raise InputError(f"{LAKE_VARIABLE} must have psycopg2: install instgov-dagster[lake]")
    return catalog


def _extension(name: str) -> Path:
    version = f"v{duckdb.__version__}"
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(place) / "extensions" / version / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    raise InputError(
        f"{LAKE_VARIABLE} must have DuckDB's extension {name} for {version}: install"
        " instgov-dagster[lake] beside a duckdb it is made for"
    )


def _object_store(environment: Mapping[str, str]) -> ObjectStore:
    missing = [name for name in (_KEY_VARIABLE, _SECRET_VARIABLE) if not environment.get(name)]
    if missing:
        raise InputError(f"{DATA_VARIABLE} in an object store must have {missing[0]} set")
    text = environment.get(ENDPOINT_VARIABLE, "")
    endpoint = urlsplit(text)
    if text and not (endpoint.scheme in {"http", "https"} and endpoint.netloc):
        raise InputError(f"{ENDPOINT_VARIABLE} must be http(s)://host:port")
    return ObjectStore(
        key_id=environment[_KEY_VARIABLE],
        secret=environment[_SECRET_VARIABLE],
        region=environment.get(_REGION_VARIABLE) or "us-east-1",
        endpoint=endpoint.netloc,
        is_encrypted=endpoint.scheme != "http",
    )


def _passwords(catalog: str) -> set[str]:
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    written = {urlsplit(catalog).password or ""} if "://" in catalog else set()
    try:
        return (
            written | {unquote(one) for one in written} | {parse_dsn(catalog).get("password", "")}
        )
    except ProgrammingError:
        return written
