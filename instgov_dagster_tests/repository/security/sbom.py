"""The bill of materials of what is shipped, from the lock: `make sbom` prints it."""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from instgov_dagster_tests.repository.roadmap import ROOT

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(path: Path) -> Iterator[tuple[str, str]]:
    """Give the name and version of every package of a lock."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := _PIN.match(line):
            yield found.group(1), found.group(2)


def _hashes(path: Path) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := _PIN.match(line):
            name = found.group(1)
        if found := _HASH.search(line):
            held.setdefault(name, []).append(found.group(1))
    return held


def bill_of_materials() -> dict[str, Any]:
    """Give the packages of the runtime's lock as CycloneDX 1.6; the same lock, the same bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = ROOT / "requirements.lock"
    hashes = _hashes(lock)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [
            {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "hashes": [{"alg": "SHA-256", "content": one} for one in hashes[name]],
            }
            for name, version in locked(lock)
        ],
    }


if __name__ == "__main__":
    json.dump(bill_of_materials(), sys.stdout, indent=1)
    sys.stdout.write("\n")
