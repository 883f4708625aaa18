"""Reading a folder of vendor bars: Parquet or CSV in, bars as received out, nothing cleaned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from instgov_dagster.bars.ingestion import (
    BAR_SCHEMA,
    require_daily,
    unknown_columns,
    validate_bars,
)
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.reasons import ReasonCode

PROVIDER: Final = "files"
BARS_FILE: Final = "bars.parquet"
UNIVERSE_FILE: Final = "universe.yaml"
_ACTIONS_STEM: Final = "actions"
_ACTION_COLUMNS: Final = ("symbol", "date", "dividend", "split")
# A folder's bars carry no events of their own: those come from its actions file.
_READ: Final = frozenset(BAR_SCHEMA) - {"dividend", "split", "provider"}

# A damaged Parquet page can panic inside polars, which is no Exception by its own class.
_UNREADABLE: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    UnicodeDecodeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderBars:
    """All bars of a folder, sorted by symbol and date, and what was ignored in it."""

    bars: pl.DataFrame
    notices: tuple[str, ...]


def read_folder(folder: Path) -> FolderBars:
    """Read every bar of a folder.

    Raises
    ------
    InputError
        If the folder is missing or holds no bars, or naming the file and the column or value
        that is missing, damaged or not understood.
    DataRejected
        With ``INTRADAY_FORBIDDEN`` if a bar has a time of day.
    """
    if not folder.is_dir():
        raise InputError(f"bars must be a folder, was {folder}")
    files, notices = _bar_files(folder)
    frames = []
    for file in files:
        frame = _read_table(file)
        if file.name != BARS_FILE and "symbol" not in frame.columns:
            frame = frame.with_columns(symbol=pl.lit(file.stem))
        ignored = sorted(set(unknown_columns(frame)) | (set(frame.columns) - _READ))
        if ignored:
            notices.append(f"{file.name}: unknown columns ignored: {', '.join(ignored)}")
        frames.append(_validated(file, frame.drop(ignored)))
    bars = pl.concat(frames).with_columns(
        provider=pl.lit(PROVIDER),
        source=pl.when(pl.col("source").str.len_bytes() > 0)
        .then("source")
        .otherwise(pl.lit(PROVIDER)),
    )
    if bars.is_empty():
        raise InputError(f"{folder} must hold bars, was without a single row")
    if len(files) > 1:
        _require_one_class(bars)
    bars = bars.sort("symbol", "date", maintain_order=True)
    actions = _actions_file(folder)
    if actions is not None:
        bars = _with_actions(bars, actions, notices)
    return FolderBars(bars=bars, notices=tuple(notices))


def _bar_files(folder: Path) -> tuple[list[Path], list[str]]:
    tables = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() == ".csv" and file.stem != _ACTIONS_STEM and file.name[0] != "."
    )
    whole = folder / BARS_FILE
    if whole.is_file():
        ignored = [f"{len(tables)} CSV files ignored beside {BARS_FILE}"] if tables else []
        return [whole], ignored
    if not tables:
        raise InputError(f"{folder} must hold {BARS_FILE} or one CSV a symbol, was without both")
    return tables, []


def _actions_file(folder: Path) -> Path | None:
    for suffix in (".parquet", ".csv"):
        file = folder / f"{_ACTIONS_STEM}{suffix}"
        if file.is_file():
            return file
    return None


def _read_table(file: Path) -> pl.DataFrame:
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        frame = pl.read_csv(file, infer_schema=False)
    except _UNREADABLE as e:
        kind = "Parquet" if file.suffix == ".parquet" else "CSV"
        raise InputError(f"{file.name} must be readable {kind}, was damaged or cut: {e}") from e
    names = {name: name.strip().lower().replace(" ", "_") for name in frame.columns}
    if len(set(names.values())) != len(names):
        raise InputError(f"{file.name} must have distinct columns, was {', '.join(frame.columns)}")
    return frame.rename(names)


def _validated(file: Path, frame: pl.DataFrame) -> pl.DataFrame:
    try:
        return validate_bars(frame)
    except InputError as e:
        raise InputError(f"{file.name}: {e}") from e
    except DataRejected as e:
        if e.reason_code is ReasonCode.INTRADAY_FORBIDDEN:
            raise DataRejected(e.reason_code, f"{file.name}: {e.detail}") from e
        raise InputError(f"{file.name}: {e.detail}") from e


def _require_one_class(bars: pl.DataFrame) -> None:
    words = bars.group_by("symbol").agg(pl.col("asset_class").unique().sort())
    torn = words.filter(pl.col("asset_class").list.len() > 1).sort("symbol")
    if torn.height:
        symbol, classes = torn.row(0)
        raise InputError(f"asset_class of {symbol} must be one word, was {' and '.join(classes)}")


def _with_actions(bars: pl.DataFrame, file: Path, notices: list[str]) -> pl.DataFrame:
    # A split of 0 or 1 is none; several splits of one day multiply, several dividends add.
    events = _read_actions(file)
    known = events.join(bars.select("symbol").unique(), on="symbol", how="semi")
    lost = known.join(bars, on=["symbol", "date"], how="anti").height
    if lost:
        notices.append(f"{file.name}: {lost} actions ignored on dates without a bar")
    return (
        bars.drop("dividend", "split")
        .join(events, on=["symbol", "date"], how="left", maintain_order="left")
        .select(
            pl.col(name).fill_null(0.0) if name in ("dividend", "split") else name
            for name in BAR_SCHEMA
        )
    )


def _read_actions(file: Path) -> pl.DataFrame:
    frame = _read_table(file)
    missing = [name for name in _ACTION_COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(
            f"{file.name} must have the columns {', '.join(_ACTION_COLUMNS)}, "
            f"was without {', '.join(missing)}"
        )
    try:
        frame = require_daily(frame).with_columns(
            pl.col("symbol").cast(pl.String),
            pl.col("dividend", "split").cast(pl.Float64).fill_null(0.0),
        )
    except (InputError, pl.exceptions.PolarsError) as e:
        raise InputError(f"{file.name}: {e}") from e
    wrong = frame.filter(
        ~(
            pl.all_horizontal(
                pl.col("dividend", "split").is_finite() & (pl.col("dividend", "split") >= 0)
            )
        )
    )
    if wrong.height:
        row = wrong.row(0, named=True)
        raise InputError(
            f"{file.name}: dividend and split must be finite and >= 0, was "
            f"{row['dividend']} and {row['split']} for {row['symbol']}"
        )
    ratio = pl.when(pl.col("split") > 0).then("split").otherwise(1.0).product()
    return (
        frame.group_by("symbol", "date")
        .agg(pl.col("dividend").sum(), ratio.alias("split"))
        .with_columns(split=pl.when(pl.col("split") == 1.0).then(0.0).otherwise("split"))
    )
