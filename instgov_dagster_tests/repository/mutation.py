"""What `make mutation` found, module by module, and whether it is enough; mutmut does the work."""

import os
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from instgov_dagster_tests.repository.roadmap import ROOT

PAGE = ROOT / "docs" / "mutation.md"

#: The least share of a module's mutants that tests and types together must notice, by its folder.
LEAST_NOTICED = {"instgov_dagster/beliefs": 0.85, "instgov_dagster/capital": 0.90}
#: The least share the tests must kill of those the types let pass: mostly changes of a number.
LEAST_KILLED = 0.80

_REFUSED = "caught by type check"
# A mutant that never ends is noticed as surely as one that fails; -9 is mutmut's own last word.
_KILLED = frozenset({"killed", "timeout", "segfault"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of the mutants of one module.

    ``refused`` counts those mypy does not let pass, ``killed`` those a test notices; ``alive``
    names what nothing noticed, whether it was run and passed, or no test runs the function at
    all, or it was not run yet.
    """

    module: Path
    refused: int
    killed: int
    alive: tuple[str, ...]

    @property
    def mutants(self) -> int:
        """All of them."""
        return self.refused + self.killed + len(self.alive)

    @property
    def noticed_share(self) -> float:
        """The share that types or tests notice; 1 where there is nothing to notice."""
        return 1.0 - len(self.alive) / self.mutants if self.mutants else 1.0

    @property
    def killed_share(self) -> float:
        """The share the tests kill of what the types let pass, the harder half."""
        passed = self.killed + len(self.alive)
        return self.killed / passed if passed else 1.0

    @property
    def is_enough(self) -> bool:
        """Whether both shares reach what is asked; of a folder nothing is said of, all is."""
        asked = [v for k, v in LEAST_NOTICED.items() if self.module.is_relative_to(k)]
        return self.noticed_share >= max(asked, default=1.0) and self.killed_share >= LEAST_KILLED

    @property
    def row(self) -> str:
        """Its row of the table, as docs/mutation.md holds it."""
        shares = f"{100.0 * self.noticed_share:.1f} % | {100.0 * self.killed_share:.1f} %"
        counts = f"{self.mutants} | {self.refused} | {self.killed} | {len(self.alive)}"
        return f"| `{self.module}` | {counts} | {shares} |"


def named_modules(root: Path = ROOT) -> tuple[Path, ...]:
    """List the modules `[tool.mutmut]` names, relative to the root.

    Raises
    ------
    ValueError
        If a pattern names no file: a module that moved would leave the measure in silence.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    found: set[Path] = set()
    for pattern in settings["tool"]["mutmut"]["only_mutate"]:
        paths = [p.relative_to(root) for p in root.glob(pattern) if p.name != "__init__.py"]
        if not paths:
            raise ValueError(f"only_mutate must name files, {pattern!r} names none")
        found.update(paths)
    return tuple(sorted(found))


def read_scores(root: Path = ROOT) -> tuple[Score, ...]:
    """Read what mutmut wrote below ``mutants/`` of every module that is named.

    Raises
    ------
    FileNotFoundError
        If a module was not mutated.
    """
    return tuple(_read_score(root, module) for module in named_modules(root))


def _read_score(root: Path, module: Path) -> Score:
    data = SourceFileMutationData(path=module)
    data.meta_path = root / data.meta_path
    if not data.meta_path.is_file():
        raise FileNotFoundError(f"{module} must have been mutated: {data.meta_path} is not there")
    data.load()
    status = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    count = Counter(status.values())
    return Score(
        module=module,
        refused=count[_REFUSED],
        killed=sum(count[word] for word in _KILLED),
        alive=tuple(n for n, word in status.items() if word not in {_REFUSED, *_KILLED}),
    )


def table(scores: tuple[Score, ...]) -> str:
    """Write one markdown row a module, and their sum."""
    total = Score(
        module=Path("all"),
        refused=sum(score.refused for score in scores),
        killed=sum(score.killed for score in scores),
        alive=tuple(name for score in scores for name in score.alive),
    )
    lines = [
        "| Module | Mutants | Refused by mypy | Killed | Alive | Noticed | By tests alone |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(score.row for score in (*scores, total)),
    ]
    return "\n".join(lines) + "\n"


def changes(name: str) -> str:
    """Show what a mutant changed, the lines taken away and put in; read below ``mutants/``."""
    lines = get_diff_for_mutant(name).splitlines()
    return "\n".join(line for line in lines if line[:1] in "-+" and line[:3] not in {"---", "+++"})


def report(scores: tuple[Score, ...], show: Callable[[str], str] = changes) -> str:
    """Write the table and below it every mutant that lives, with what it changed."""
    alive = [f"\n{name}\n{show(name)}\n" for score in scores for name in score.alive]
    return table(scores) + "".join(alive)


def main(root: Path = ROOT) -> int:
    """Print the report; 1 where a module falls short, so that the command fails."""
    os.chdir(root)  # mutmut reads `mutants/` from where it stands
    scores = read_scores(root)
    short = [str(score.module) for score in scores if not score.is_enough]
    sys.stdout.write(report(scores))
    if short:
        sys.stderr.write(f"too few mutants were killed in {', '.join(short)}\n")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
