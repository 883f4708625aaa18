"""No value enters SQL as text, nothing untrusted is unpickled, what is shipped is listed."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from instgov_dagster_tests.repository.roadmap import ROOT
from instgov_dagster_tests.repository.security.sbom import bill_of_materials, locked

PACKAGE = ROOT / "instgov_dagster"
_ASKS = {"execute", "executemany", "sql"}
#: What a statement may be put together from, by file: names of tables and columns that the module
#: itself, the schema or the catalog knows. Values are parameters, always.
PUT_TOGETHER = {
    "adapters/backup/take.py": {"name"},
    "adapters/lake/connection.py": {"', '.join(words)", "_name(schema)", "_text(str(path))"},
    "adapters/lake/parts.py": {"names", "self.part", "self.table"},
    "adapters/lake/pull.py": {"division.names", "division.order", "division.table"},
    "adapters/lake/push.py": {
        "division.names",
        "division.order",
        "division.part",
        "division.table",
        "key",
        "lacking",
        "schema",
    },
    "adapters/lake/schema.py": {"columns", "kind", "name", "schema", "table"},
    "adapters/lake/verify.py": {"division.names", "division.table"},
    "adapters/paper/rows.py": {"_CASH", "_FILL", "names", "where"},
    "adapters/paper/store.py": {"SCHEMA_VERSION"},
    "adapters/store/night_store.py": {"names", "table"},
    "adapters/store/projector/follow.py": {"names", "table"},
    "adapters/store/projector/readers.py": {"name", "order"},
    "bench/ingest/peer.py": {"', '.join('?' * changed.shape[1])"},
    "bench/live/worker.py": {"name"},
    "dashboard/reading/publishing.py": {"last", "order"},
    "loop/folding/explaining/card.py": {"_DRILLS", "columns"},
}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNNERS = {"eval", "exec", "compile", "__import__"}
UNSAFE_READS = (".read_pickle", ".to_pickle", ".deserialize")


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield (
            path.relative_to(PACKAGE).as_posix(),
            ast.parse(path.read_text(encoding="utf-8")),
        )


def statements(tree: ast.Module) -> Iterator[ast.expr]:
    """Give the first argument of every call that asks a database."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in _ASKS and node.args:
            yield node.args[0]


def test_a_statement_is_put_together_from_names_alone_and_never_by_an_operator() -> None:
    found: dict[str, set[str]] = {}
    for path, tree in trees():
        for statement in statements(tree):
            assert not isinstance(statement, ast.BinOp), (path, ast.unparse(statement))
            if isinstance(statement, ast.JoinedStr):
                parts = [p for p in statement.values if isinstance(p, ast.FormattedValue)]
                found.setdefault(path, set()).update(ast.unparse(p.value) for p in parts)
    assert {path: names for path, names in found.items() if names} == PUT_TOGETHER


def test_nothing_unpickles_and_yaml_makes_no_objects() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & UNPICKLERS, path
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] not in UNPICKLERS, path
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                unsafe = {"UnsafeLoader", "FullLoader", "Loader", "unsafe_load", "full_load"}
                assert not (node.value.id == "yaml" and node.attr in unsafe), path


def runs_text(node: ast.AST) -> bool:
    """Say whether a call runs, or unpickles, what may come from outside."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in RUNNERS
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    if "shell" in named or "allow_pickle" in named:
        allowed = [named.get("shell"), named.get("allow_pickle")]
        return any(value is not None and ast.unparse(value) != "False" for value in allowed)
    called = ast.unparse(node.func)
    # Only `compile` of a pattern is one; numpy reads no objects unless it is told to.
    return called in {"os.system", "os.popen", "numpy.load"} or called.endswith(UNSAFE_READS)


def test_nothing_that_comes_from_outside_is_run() -> None:
    found = [
        f"{path}:{node.lineno} {ast.unparse(node)[:60]}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and runs_text(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)", "exec(x)", "os.system(x)", "subprocess.run(x, shell=True)",
        "np.load(p, allow_pickle=True)", "pd.read_pickle(p)", "frame.to_pickle(p)", "__import__(x)",
    ],
)  # fmt: skip
def test_what_looks_for_such_a_call_finds_it(text: str) -> None:
    assert any(runs_text(node) for node in ast.walk(ast.parse(text)))


def test_the_bill_of_materials_names_every_locked_package_once() -> None:
    bill = bill_of_materials()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {(row["name"], row["version"]) for row in bill["components"]}
    assert listed == set(locked(ROOT / "requirements.lock"))
    assert len(listed) == len(bill["components"]) > 50
    assert {row["purl"] for row in bill["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in listed
    }
    assert all(row["hashes"] for row in bill["components"])
    assert json.dumps(bill, sort_keys=True) == json.dumps(bill_of_materials(), sort_keys=True)


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-bench.lock",
        "deploy/requirements.lock",
        "instgov_dagster_tests/adapters/lake/requirements.lock",
    ],
)
def test_every_locked_package_has_a_hash(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [at for at, line in enumerate(lines) if "==" in line and not line.startswith((" ", "#"))]
    assert pins
    assert [lines[at] for at in pins if "--hash=sha256:" not in lines[at + 1]] == []


def test_no_key_of_a_broker_or_a_provider_is_in_the_tree() -> None:
    for path in [*ROOT.glob("deploy/**/*"), *ROOT.glob("config/*")]:
        if Path(path).is_file():
            text = path.read_text(encoding="utf-8")
            assert "BEGIN PRIVATE KEY" not in text
            assert "AKIA" not in text
