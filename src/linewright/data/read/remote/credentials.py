"""What `at` of a remote source holds: the keys of a bucket, or the token of a server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from linewright.data.read.hosts import is_near
from linewright.errors import SpecError
from linewright.store.files.secret import read_secret
from linewright.text.remote_url import RemoteUrl, read_remote_url

_WORDS = {
    "s3": ("endpoint", "region", "key", "secret", "token"),
    "gs": ("endpoint",),
    "az": ("endpoint", "account", "key", "sas"),
}
_SHOWN = frozenset(
    {"endpoint", "region", "account", "type", "project_id", "token_uri", "auth_uri", "universe_domain"}
)
"""Words whose values are public."""
_FORMS = {
    "s3": '{"region": "eu-central-1", "key": "…", "secret": "…"}, perhaps with "endpoint": "https://HOST:PORT" and "token"',
    "gs": "the key file of a service account, as Google gives it",
    "az": '{"account": "…", "key": "…"}, or "sas" in place of "key"',
}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How a server is reached, and what it asks for."""

    endpoint: RemoteUrl
    """Its scheme, host and port."""
    options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Of a bucket: what `at` holds, by word."""
    header: tuple[str, str] | None = field(default=None, repr=False)
    """Of a server: name and value of the header that says who asks."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that nobody may see."""
        held = [text for word, text in self.options.items() if word not in _SHOWN]
        return (*held, *((self.header[1], self.header[1].partition(" ")[2]) if self.header else ()))


def read_credentials(url: RemoteUrl, at: str | None, root: Path, where: str) -> Credentials:
    """Return what `at` of a source stands for; without it, a bucket that all may read, or a server that asks nobody who they are."""
    text = read_secret(at, root, where=f"{where}.at") if at else ""
    if not url.is_bucket:
        return _of_server(url, text, where)
    options = _options(url, text, where) if text else {}
    missing = _incomplete(url.scheme, options)
    if missing:
        raise _not_in_form(url, where, found=missing)
    said = options.get("endpoint") or _usual_endpoint(url, options)
    try:
        endpoint = read_remote_url(said)
    except ValueError:
        endpoint = url
    if endpoint.is_bucket:
        raise _not_in_form(url, where, found="an endpoint that cannot be used")
    _refuse_open(endpoint, is_secret=bool(options), where=where)
    return Credentials(endpoint=endpoint, options=options)


def _of_server(url: RemoteUrl, text: str, where: str) -> Credentials:
    _refuse_open(url, is_secret=bool(text), where=where)
    if not text:
        return Credentials(endpoint=url)
    if "\n" in text or not text.isascii() or not text.isprintable():
        raise SpecError(
            "what `at` holds cannot be a token",
            where=f"{where}.at",
            allowed="a token, or one header such as X-Api-Key: TOKEN",
        )
    name, colon, value = text.partition(": ")
    if colon and name.replace("-", "").isalnum():
        return Credentials(endpoint=url, header=(name, value.strip()))
    return Credentials(endpoint=url, header=("Authorization", text if " " in text else f"Bearer {text}"))


def _options(url: RemoteUrl, text: str, where: str) -> dict[str, str]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _not_in_form(url, where, found="a text, not a JSON object")
    held = cast("Mapping[str, Any]", said)
    if not all(isinstance(value, str) for value in held.values()):
        raise _not_in_form(url, where, found="a value that is not text")
    known = _WORDS[url.scheme]
    if url.scheme == "gs" and "private_key" in held:
        return dict(held)
    if unknown := [word for word in held if word not in known]:
        raise _not_in_form(url, where, found=f"{len(unknown)} other word{'s' if len(unknown) > 1 else ''}")
    return dict(held)


def _incomplete(scheme: str, options: Mapping[str, str]) -> str:
    if scheme == "s3" and ("key" in options) != ("secret" in options):
        return "one of key and secret"
    if scheme == "az" and "account" not in options:
        return "no account"
    return ""


def _usual_endpoint(url: RemoteUrl, options: Mapping[str, str]) -> str:
    match url.scheme:
        case "s3":
            return f"https://s3.{options.get('region', 'us-east-1')}.amazonaws.com"
        case "gs":
            return "https://storage.googleapis.com"
        case _:
            return f"https://{options['account']}.blob.core.windows.net"


def _refuse_open(server: RemoteUrl, *, is_secret: bool, where: str) -> None:
    """Refuse to send secrets over a network in the open."""
    try:
        is_here = server.name == "localhost" or is_near(server.name)
    except ValueError:
        is_here = False
    if server.scheme == "http" and is_secret and not is_here:
        raise SpecError(
            "a secret is not sent without encryption",
            where=f"{where}.at",
            found=server.origin,
            allowed="https://, or http:// on this machine",
        )


def _not_in_form(url: RemoteUrl, where: str, *, found: str) -> SpecError:
    return SpecError(
        f"what `at` holds is not how {url.scheme}:// is reached",
        where=f"{where}.at",
        found=found,
        allowed=_FORMS[url.scheme],
    )
