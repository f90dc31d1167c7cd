"""Sessions at factories that are up, kept for the person who signed in: a file that only they can read."""

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from linewright.errors import Corrupt, Denied, RequestError
from linewright.serve.origin import is_loopback
from linewright.store.clock import now_utc, uuid7
from linewright.store.files.rights import read_owned

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MOST_BYTES = 1 << 20


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A session at one address."""

    member: str
    token: str
    expires: str


Logins = Mapping[str, Login]


def token_for(address: str, now: str = "") -> str | None:
    """Return the session that is kept for an address; `None` if there is none, or it has expired."""
    found = _read().get(origin_of(address))
    return found.token if found is not None and found.expires > (now or now_utc()) else None


def keep(address: str, login: Login) -> Path:
    """Keep a session in place of an earlier one of the same address; return the file."""
    return _change(lambda logins: {**logins, origin_of(address): login})


def forget(address: str) -> None:
    """Forget the session of an address."""
    gone = origin_of(address)
    _change(lambda logins: {one: login for one, login in logins.items() if one != gone})


def origin_of(address: str) -> str:
    """Return scheme, host and port of a control plane's address, written in one way.

    Examples
    --------
    >>> origin_of("HTTPS://Factory.Example.org:443/"), origin_of("http://127.0.0.1:8080")
    ('https://factory.example.org', 'http://127.0.0.1:8080')
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    is_whole = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or not host or not is_whole or not address.isascii():
        raise RequestError("not an address", where="url", found=address[:200], allowed="https://HOST[:PORT]")
    if parts.scheme == "http" and not is_loopback(host):
        raise Denied(
            "the password or the token would be readable on the way",
            where="url",
            found=address[:200],
            allowed="https://, and http:// to this machine",
        )
    named = f"[{host}]" if ":" in host else host
    shown = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{named}{shown}"


def _file() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".config"
    return base / "linewright" / "logins.json"


def _read() -> Logins:
    path = _file()
    try:
        held = read_owned(
            path,
            _MOST_BYTES,
            what="others may read or change the sessions",
            hint="remove it, and sign in again: linewright login URL",
        )
    except FileNotFoundError:
        return {}
    try:
        return msgspec.json.decode(held, type=dict[str, Login])
    except msgspec.MsgspecError as error:
        raise Corrupt(
            "the file of sessions is damaged", where=str(path), hint="remove it, and sign in again"
        ) from error


def _change(change: Callable[[Logins], Logins]) -> Path:
    path = _file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_name(".logins.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    draft = path.with_name(f".logins.{uuid7()}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        logins = change(_read())
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(logins)) + b"\n")
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
        os.close(lock)
    return path
