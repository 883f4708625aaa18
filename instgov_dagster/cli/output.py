"""What a command prints and how it ends: one JSON object or a table, and the exit codes."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import typer

from instgov_dagster.vocabulary.errors import (
    DataRejected,
    InputError,
    InstgovError,
)

DONE: Final = 0
CHECK_FAILED: Final = 1
BAD_INPUT: Final = 2
HALTED: Final = 3


@contextmanager
def quiet_stdout(*, is_json: bool) -> Iterator[int | None]:
    """Keep stdout for the one JSON object: whatever else is written to it goes to stderr.

    Yields
    ------
    The saved descriptor of the real stdout, or None where nothing is redirected.
    """
    if not is_json:
        yield None
        return
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        yield saved
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def print_json(fields: Mapping[str, Any], descriptor: int | None) -> None:
    """Write one JSON object and nothing else; numbers that are not finite become null."""
    text = json.dumps(_finite(fields), default=str, ensure_ascii=False, allow_nan=False) + "\n"
    os.write(1 if descriptor is None else descriptor, text.encode())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the system's errors into one line on stderr and the exit code the contract names."""
    try:
        yield
    except InputError as error:
        _end(error, BAD_INPUT)
    except DataRejected as error:
        _end(error, BAD_INPUT)
    except InstgovError as error:
        # Halted, stopped, busy or led by another: whatever it is, nothing may go on.
        _end(error, HALTED)


def _end(error: Exception, code: int) -> None:
    line = " ".join(str(error).split())
    sys.stderr.write(f"instgov: {line}\n")
    raise typer.Exit(code) from error
