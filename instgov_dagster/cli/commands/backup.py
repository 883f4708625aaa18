"""`backup` and `restore`: a home copied while it is at work, and put back whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout


def backup_command(
    out: Annotated[Path, typer.Option("--out", help="Folder of the backup; new or empty.")],
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Copy warehouse, journal, account and published night, as of one instant, while they work."""
    del config  # every command takes it; a copy needs no rules
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = backup(home, out)
        _tell(fields, f"backed up in {out}", descriptor, is_json=as_json)


def backup(home: HomeOption, out: Path) -> dict[str, Any]:
    """Back a home up and tell what was copied; see `take_backup`."""
    from instgov_dagster.adapters.backup import take_backup
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, RealClock

    manifest = take_backup(
        Home(resolve_home(home)),
        out.resolve(),
        key=key_from(os.environ),
        taken_at=RealClock().now(),
    )
    return _fields(manifest.frames, manifest.tables)


def restore_command(
    source: Annotated[Path, typer.Option("--from", help="Folder of a backup.")],
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a new home of a backup; nothing appears before every byte of it is verified."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = restore(home, config, source)
        _tell(fields, f"restored to {resolve_home(home)}", descriptor, is_json=as_json)


def restore(home: HomeOption, config: ConfigOption, source: Path) -> dict[str, Any]:
    """Restore a backup to a home and tell what it holds; see `restore_backup`."""
    from instgov_dagster.adapters.backup import restore_backup
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, RealClock

    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    loop = load_policy(config_dir).loop
    done = restore_backup(
        source.resolve(),
        Home(resolve_home(home)),
        key=key_from(os.environ),
        restored_at=RealClock().now(),
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )
    return _fields(done.frames, done.tables)


def _fields(frames: int, tables: Mapping[str, int]) -> dict[str, Any]:
    # Whatever is not in order raised before: a copy that did not verify was never given its name.
    return {
        "ok": True,
        "frames": frames,
        "tables": {name: {"rows": rows} for name, rows in tables.items()},
    }


def _tell(fields: dict[str, Any], words: str, descriptor: int | None, *, is_json: bool) -> None:
    if is_json:
        print_json(fields, descriptor)
        return
    rows = sum(table["rows"] for table in fields["tables"].values())
    typer.echo(f"{words}: {fields['frames']} frames, {rows} rows in {len(fields['tables'])} tables")
