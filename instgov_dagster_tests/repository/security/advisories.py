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
_SERVICE = ("api.osv.dev", 443)
_LOOK_SECONDS = 3.0
_SECONDS = 90


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
    """Ask for the runtime's lock; give 0 where nothing is known against it or nobody answered."""
    if not _is_reachable():
        sys.stderr.write("advisories: the service cannot be reached, not checked\n")
        return 0
    words = [
        str(Path(sys.executable).parent / "pip-audit"), "--requirement",
        str(ROOT / "requirements.lock"), "--no-deps", "--disable-pip", "--require-hashes",
        "--vulnerability-service", "osv", "--progress-spinner", "off", "--timeout", "5",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stderr.write("advisories: no answer from the service, not checked\n")
        return 0
    if done.returncode and any(word in done.stderr for word in _UNREACHABLE):
        sys.stderr.write("advisories: the service cannot be reached, not checked\n")
        return 0
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(advisories())
