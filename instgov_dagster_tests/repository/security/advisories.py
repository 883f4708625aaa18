"""The locked packages held against the published advisories; without a network that is said."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from instgov_dagster_tests.repository.roadmap import ROOT

#: What a machine without the service says, in pip-audit's words and those of its libraries.
_UNREACHABLE = ("ConnectionError", "Connection refused", "Max retries", "Timeout", "timed out",
                "Name or service not known", "Temporary failure", "ServiceError", "ProxyError",
                "Could not connect", "Forbidden")  # fmt: skip
#: What pip-audit says, with an exit of 0, of a package that it was told nothing about.
_SKIPPED = "could not be audited"
_SERVICE = ("api.osv.dev", 443)
_LOOK_SECONDS = 3.0
_SECONDS = 90
#: What is shipped: the runtime's lock and the deployment's.
LOCKS = ("requirements.lock", "deploy/requirements.lock")
NOT_AUDITED = "advisories: NOT AUDITED, {why}: run `make check` again where there is a network"


def _is_reachable() -> bool:
    # A look first: without a network the client itself tries for a minute.
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True
    try:
        socket.create_connection(_SERVICE, timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True


def advisories() -> int:
    """Ask for what is shipped; give 0 where nothing is known against it, or nobody answered.

    Whichever it was is said: an audit that did not happen is never told as one that passed.
    """
    if not _is_reachable():
        return _not_audited("the service cannot be reached")
    for lock in LOCKS:
        code, said = _asked(ROOT / lock)
        if code is None:
            return _not_audited(said)
        sys.stderr.write(said or f"advisories: nothing is known against {lock}\n")
        if code:
            return code
    return 0


def _asked(lock: Path) -> tuple[int | None, str]:
    words = [
        str(Path(sys.executable).parent / "pip-audit"), "--requirement", str(lock), "--no-deps",
        "--disable-pip", "--require-hashes", "--vulnerability-service", "osv",
        "--progress-spinner", "off", "--timeout", "5",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return None, "no answer from the service"
    if done.returncode and any(word in done.stderr for word in _UNREACHABLE):
        return None, "the service cannot be reached"
    if not done.returncode and _SKIPPED in done.stdout:
        return None, "the service does not know every package"
    return done.returncode, done.stdout + done.stderr if done.returncode else ""


def _not_audited(why: str) -> int:
    sys.stderr.write(NOT_AUDITED.format(why=why) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(advisories())
