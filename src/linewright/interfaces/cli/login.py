"""The program of `login` and `logout`: it asks a person for the password and the factory for a session.

    python -m linewright.interfaces.cli.login [--json] login [--name=NAME] [--invitation=CODE] [--browser] -- URL
    python -m linewright.interfaces.cli.login [--json] logout -- URL

`linewright login` has checked what it is given.
"""

import base64
import getpass
import hashlib
import http.client
import secrets
import ssl
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from linewright.errors import LinewrightError, RequestError, Terminal, Transient, from_json
from linewright.interfaces.cli.saved_sessions import Login, forget, keep, origin_of, token_for
from linewright.interfaces.cli.show import has_colour, json_text, printable, render_error
from linewright.operations.declare import to_json
from linewright.store.clock import said
from linewright.store.files.disk import faults_explained
from linewright.store.files.rights import owner_only

_WAIT_S = 30.0
_MOST_BYTES = 1 << 20
"""Of an answer."""
_INTERRUPTED = 130


class SignedInAt(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is kept now."""

    member: str
    url: str
    expires: str
    file: str
    """Where it is kept."""


class SignedOutOf(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is kept no longer."""

    url: str
    ended: bool
    """Whether the factory had it."""


def main(*arguments: str) -> int:
    """Sign in or out, and return the exit code."""
    parser = ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("what", choices=("login", "logout"))
    parser.add_argument("--name", default="")
    parser.add_argument("--invitation", default="")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("url")
    asked = parser.parse_args(arguments)
    try:
        with faults_explained(Path.home()):
            if asked.what == "logout":
                done: Any = log_out(asked.url)
                text = f"Signed out of {done.url}"
            else:
                done = (
                    log_in_by_browser(asked.url)
                    if asked.browser
                    else log_in(asked.url, name=asked.name, invitation=asked.invitation)
                )
                text = f"Signed in to {done.url} as {done.member}, until {said(done.expires)}"
    except LinewrightError as error:
        if asked.json:
            sys.stdout.write(json_text(to_json(error.to_json())) + "\n")
        else:
            sys.stderr.write(render_error(error, colour=has_colour(sys.stderr)) + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    sys.stdout.write((json_text(to_json(done)) if asked.json else printable(text)) + "\n")
    return 0


def log_in(url: str, *, name: str = "", invitation: str = "") -> SignedInAt:
    """Sign in at an address, and keep the session."""
    url = origin_of(url)
    if invitation:
        password = _ask_for_password("New password: ", again="The same again: ")
        joined = _ask(url, "/api/v1/join", {"invitation": invitation, "password": password})
        name = str(joined.get("member"))
    else:
        name = name or _ask_for_name()
        password = _ask_for_password(f"Password of {name}: ")
    return _kept(url, _ask(url, "/api/v1/sign-in", {"name": name, "password": password, "token": True}))


def log_in_by_browser(url: str) -> SignedInAt:
    """Sign in at the provider of a factory in a browser, and keep the session.

    The address of the page holds the SHA-256 of a secret that stays here, so that the code that the page shows is of no use elsewhere.
    """
    url, verifier = origin_of(url), secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    sys.stderr.write(f"Sign in on this page: {url}/sign-in/oidc?terminal={challenge}\nCode of the page: ")
    sys.stderr.flush()
    code = sys.stdin.readline().strip()
    return _kept(url, _ask(url, "/api/v1/sign-in/code", {"code": code, "verifier": verifier}))


def _kept(url: str, told: dict[str, Any]) -> SignedInAt:
    try:
        login = msgspec.convert(told, Login)
    except msgspec.ValidationError as error:
        raise _not_ours(url, str(error)) from error
    file = keep(url, login)
    return SignedInAt(member=login.member, url=url, expires=login.expires, file=str(file))


def log_out(url: str) -> SignedOutOf:
    """End the session that is kept for an address, and forget it, even if the factory cannot be reached."""
    url = origin_of(url)
    token = token_for(url)
    forget(url)
    told = {} if token is None else _ask(url, "/api/v1/sign-out", {}, token=token)
    return SignedOutOf(url=url, ended=bool(told.get("ended")))


def _ask_for_name() -> str:
    if not sys.stdin.isatty():
        raise RequestError("whose password it is is not said", where="--name", hint="add --name NAME")
    sys.stderr.write("Name: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _ask_for_password(prompt: str, *, again: str = "") -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    try:
        password = getpass.getpass(prompt)
        if again and getpass.getpass(again) != password:
            raise RequestError("the two passwords differ")
    except EOFError:
        raise KeyboardInterrupt from None
    return password


def _ask(url: str, path: str, body: dict[str, Any], *, token: str = "") -> dict[str, Any]:
    parts = urlsplit(url)
    of_scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = of_scheme(parts.hostname or "", parts.port, timeout=_WAIT_S)
    try:
        connection.request("POST", path, body=msgspec.json.encode(body), headers=headers)
        answer = connection.getresponse()
        held = answer.read(_MOST_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise RequestError(
            f"its certificate is not trusted: {error.verify_message}",
            where=url,
            hint="SSL_CERT_FILE names the file of another certificate authority",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Transient(
            f"the factory cannot be reached: {error or type(error).__name__}",
            where=url,
            hint="`linewright up` on its machine serves it",
        ) from error
    finally:
        connection.close()
    try:
        told = msgspec.json.decode(held, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise _not_ours(url, f"status {answer.status}") from error
    if answer.status != http.client.OK:
        try:
            raise from_json(told)
        except TypeError as error:
            raise _not_ours(url, f"status {answer.status}") from error
    return told


def _not_ours(url: str, found: str) -> Terminal:
    return Terminal("the server there is not a control plane of Linewright", where=url, found=found)


if __name__ == "__main__":
    with owner_only():
        raise SystemExit(main(*sys.argv[1:]))
