"""`veto list` and `veto clear`: what governance refuses, until when, and the act that ends it."""

import os
from typing import Annotated, Any

import typer

from instgov_dagster.cli.commands.operate import OperatorOption, ReasonOption
from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout

app = typer.Typer(
    help="The vetoes that stand: why, until when, and clearing one by an audited act.",
    no_args_is_help=True,
)

StrategyOption = Annotated[
    str | None, typer.Option("--strategy", help="Only vetoes raised on this strategy; * for all.")
]
SymbolArgument = Annotated[
    str, typer.Argument(help="Whose vetoes; * for those raised on every symbol.")
]


@app.command(name="list")
def list_command(
    home: HomeOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """List every veto of the published night: code, statistic, threshold, n, sessions left."""
    del config  # every command takes it; what stands was published
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        rows = listed(home)
        if as_json:
            print_json({"vetoes": rows}, descriptor)
            return
        for row in rows:
            ends = "cleared, the next night drops it" if row["is_cleared"] else _ends(row)
            typer.echo(
                f"{row['strategy_id']:<14}{row['symbol']:<12}{row['reason_code']}"
                f" ({row['trigger']}) {row['statistic']} against {row['threshold']:.6g},"
                f" n {row['n']}, since {row['raised_on']}; {ends}"
            )
        typer.echo(f"{len(rows)} vetoes stand")


def _ends(row: dict[str, Any]) -> str:
    if row["is_condition"]:
        return "as long as the condition holds"
    return f"{row['sessions_left']} sessions left"


def listed(home: HomeOption) -> list[dict[str, Any]]:
    """Read the vetoes that stand in the newest published night, as plain values.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` where no night is published.
    """
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.governance.veto import vetoes_from_frame
    from instgov_dagster.loop.live.clearing import standing_now

    rows, cleared = standing_now(Home(resolve_home(home)), key_from(os.environ))
    return [
        {
            **row,
            "raised_on": row["raised_on"].isoformat(),
            # JSON has no infinity: what could not be measured has no number.
            "statistic": row["statistic"] if row["statistic"] != float("inf") else None,
            "is_condition": veto.is_condition,
            "is_cleared": veto.key in cleared,
        }
        for row, veto in zip(
            rows.drop("cleared_on", "is_standing").iter_rows(named=True),
            vetoes_from_frame(rows),
            strict=True,
        )
    ]


@app.command(name="clear")
def clear_command(
    symbol: SymbolArgument,
    operator: OperatorOption,
    reason: ReasonOption,
    strategy: StrategyOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Clear the vetoes on a symbol, audited; exit 2 where none stands that an act can clear."""
    del config  # every command takes it; an operator's act needs no rules
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.journal import key_from
        from instgov_dagster.adapters.runtime import Home
        from instgov_dagster.loop.live.clearing import clear_vetoes

        vetoes, sequence = clear_vetoes(
            Home(resolve_home(home)),
            key_from(os.environ),
            symbol=symbol,
            strategy_id=strategy,
            operator=operator,
            reason=reason,
        )
        cleared = [
            {
                "strategy_id": veto.strategy_id,
                "symbol": veto.symbol,
                "reason_code": veto.reason_code.value,
                "raised_on": veto.raised_on.isoformat(),
            }
            for veto in vetoes
        ]
        if as_json:
            print_json({"cleared": cleared, "sequence": sequence}, descriptor)
            return
        for row in cleared:
            typer.echo(f"cleared {row['reason_code']} on {row['strategy_id']} x {row['symbol']}")
        typer.echo(f"operator chain frame {sequence}; it falls with the next night published")
