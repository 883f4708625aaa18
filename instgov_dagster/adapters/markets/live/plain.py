"""A plain GET: time-outs on, redirects off, no key in anything that is kept or said."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

from instgov_dagster.adapters.markets.live.asking import NoAnswerError, RawAnswer
from instgov_dagster.adapters.runtime.quiet import keep_addresses_quiet
from instgov_dagster.vocabulary.errors import InputError

#: Makes one GET: address, parameters, headers.
Getter = Callable[[str, Mapping[str, str], Mapping[str, str]], RawAnswer]


def plain_getter(timeout_seconds: float) -> Getter:
    """Give a getter with a session of its own for every request: it is called from many threads."""
    keep_addresses_quiet()

    def get(url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> RawAnswer:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy or a .netrc is no part of the entitlement
                response = session.get(
                    url,
                    params=dict(params),
                    headers=dict(headers),
                    timeout=timeout_seconds,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            # The error's own text holds the address, and the address may hold a key.
            raise NoAnswerError(type(error).__name__) from None
        return RawAnswer(
            status=response.status_code, body=response.content, headers=dict(response.headers)
        )

    return get


def require_address(name: str, url: str) -> str:
    """Give an address that may be sent a key: over TLS, or on this machine alone.

    Raises
    ------
    InputError
        Naming the setting and what it was.
    """
    parts = urlsplit(url)
    is_local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
        raise InputError(f"{name} must be an https address or one on this machine, was {url!r}")
    return url.rstrip("/")
