"""The cookie by which a browser says who is signed in. It holds the secret of a session and nothing else."""

from collections.abc import MutableMapping
from typing import Any

from linewright.serve.access.sign_in import SESSION_MICROS

_NAME, _SECURE_NAME = "linewright", "__Host-linewright"


def session_secret(scope: MutableMapping[str, Any]) -> str:
    """Return the secret that a request's cookie holds; empty if there is not exactly one cookie of ours.

    A page of another port or name may have set more of that name: which of them is meant nobody knows.
    """
    name = _name(scope)
    cookies = [
        cookie.strip().partition("=")
        for header, value in scope["headers"]
        if header == b"cookie"
        for cookie in value.decode("latin-1").split(";")
    ]
    found = [value for each, _, value in cookies if each == name]
    return found[0] if len(found) == 1 else ""


def set_cookie(scope: MutableMapping[str, Any], secret: str) -> str:
    """Return the value of ``Set-Cookie``; an empty secret removes the cookie."""
    lasts = SESSION_MICROS // 1_000_000 if secret else 0
    secure = "Secure; " if _is_secure(scope) else ""
    return f"{_name(scope)}={secret}; Path=/; Max-Age={lasts}; {secure}HttpOnly; SameSite=Strict"


def _is_secure(scope: MutableMapping[str, Any]) -> bool:
    return scope["scheme"] == "https"


def _name(scope: MutableMapping[str, Any]) -> str:
    # A browser takes a name with `__Host-` only with TLS: then no other name of the domain can have set it.
    return _SECURE_NAME if _is_secure(scope) else _NAME
