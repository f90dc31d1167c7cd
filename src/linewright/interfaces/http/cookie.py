"""The cookies by which a browser says who is signed in, and which sign-in it began at a provider. Each holds a secret and nothing else."""

from collections.abc import MutableMapping
from typing import Any

from linewright.serve.access.sign_in import SESSION_MICROS

_NAME, _BEGUN_NAME = "linewright", "linewright-oidc"
BEGUN_S = 600
"""For how many seconds somebody may be at a provider."""


def session_secret(scope: MutableMapping[str, Any]) -> str:
    """Return the secret that a request's cookie holds; empty if there is not exactly one cookie of ours.

    A page of another port or name may have set more of that name: which of them is meant nobody knows.
    """
    return _secret(scope, _NAME)


def begun_secret(scope: MutableMapping[str, Any]) -> str:
    """Return the secret of the sign-in that this browser began at a provider; empty if there is none, as of `session_secret`."""
    return _secret(scope, _BEGUN_NAME)


def _secret(scope: MutableMapping[str, Any], name: str) -> str:
    cookies = [
        cookie.strip().partition("=")
        for header, value in scope["headers"]
        if header == b"cookie"
        for cookie in value.decode("latin-1").split(";")
    ]
    found = [value for each, _, value in cookies if each == _prefixed(scope, name)]
    return found[0] if len(found) == 1 else ""


def set_cookie(scope: MutableMapping[str, Any], secret: str) -> str:
    """Return the value of ``Set-Cookie``; an empty secret removes the cookie."""
    lasts = SESSION_MICROS // 1_000_000 if secret else 0
    return _set(scope, _NAME, secret, lasts, "Strict")


def set_begun(scope: MutableMapping[str, Any], secret: str) -> str:
    """Return the value of ``Set-Cookie`` for a sign-in at a provider, whose redirect must bring it back; an empty secret removes it."""
    return _set(scope, _BEGUN_NAME, secret, BEGUN_S if secret else 0, "Lax")


def _set(scope: MutableMapping[str, Any], name: str, secret: str, lasts: int, same_site: str) -> str:
    secure = "Secure; " if _is_secure(scope) else ""
    return (
        f"{_prefixed(scope, name)}={secret}; Path=/; Max-Age={lasts}; {secure}HttpOnly; SameSite={same_site}"
    )


def _is_secure(scope: MutableMapping[str, Any]) -> bool:
    return scope["scheme"] == "https"


def _prefixed(scope: MutableMapping[str, Any], name: str) -> str:
    # A browser takes a name with `__Host-` only with TLS: then no other name of the domain can have set it.
    return f"__Host-{name}" if _is_secure(scope) else name
