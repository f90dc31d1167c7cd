"""A provider of OpenID Connect [1]_ at which members sign in, by the authorization code flow with PKCE [2]_; extra ``oidc``.

References
----------
.. [1] N. Sakimura et al., OpenID Connect Core 1.0 incorporating errata set 2 (2023).
.. [2] N. Sakimura, J. Bradley and N. Agarwal, Proof Key for Code Exchange by OAuth Public Clients, RFC 7636 (2015).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from linewright.errors import LinewrightError, Terminal, Transient, Unauthenticated, from_json
from linewright.people.connection import Answer, Connection, Unanswered
from linewright.people.spec import OidcSpec
from linewright.serve.access.provider_members import Begun, Vouched
from linewright.serve.origin import is_loopback
from linewright.store.files.secret import read_secret

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures that count: none that somebody without the provider's private key can make."""
LEEWAY_S = 60.0
"""By how many seconds the clocks of the two may differ."""
_YOUNG_S = 600.0
"""Most seconds between the making of an ID token and its use."""
_WAIT_S = 10.0
"""Seconds that one answer of the provider may take."""
_MOST_BYTES = 256 * 1024
"""Of one answer."""
_FRESH_S = 3_600.0
"""For how long what the provider says of itself, and its keys, are taken as they were."""
_AGAIN_S = 5.0
"""After how many seconds a provider that could not be reached may be tried again."""
_KIND = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_CURVE = {"ES256": "P-256", "EdDSA": "Ed25519"}
_LEAST_RSA = 342
"""Letters of the modulus of an RSA key: 2,048 bits in base64."""
_WORD = re.compile(r"[a-z_]{1,40}")


class _Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    crit: tuple[str, ...] = ()
    """What `joserfc` looks through before it knows that it is a list."""


class _Claims(msgspec.Struct, frozen=True):
    """What every ID token says."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str
    azp: str | None = None
    nbf: float | None = None


class _Registry(jws.JWSRegistry):
    """The algorithms that count; it does not warn that EdDSA is to be called Ed25519."""

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class Provider:
    """A provider; threads may use it."""

    def __init__(self, spec: OidcSpec, *, root: Path, now: Callable[[], str]) -> None:
        self.spec = spec
        self._root, self._now, self._lock = root, now, Lock()
        self._said: tuple[_Metadata, float] | None = None
        self._keys: tuple[list[dict[str, Any]], float] | None = None
        self._trouble: tuple[dict[str, Any], float] | None = None

    def address(self, begun: Begun) -> str:
        """Return the address of the provider's page for signing in."""
        digest = hashlib.sha256(begun.verifier.encode("ascii")).digest()
        query = {
            "response_type": "code",
            "client_id": self.spec.client_id,
            "redirect_uri": begun.redirect_uri,
            "scope": " ".join(self.spec.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self._metadata().authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def vouch(self, begun: Begun, *, code: str, issuer: str | None) -> Vouched:
        """Return who has signed in there."""
        metadata = self._metadata()
        is_named = metadata.authorization_response_iss_parameter_supported
        if (issuer is None and is_named) or (issuer is not None and issuer != self.spec.issuer):
            raise _refused("another provider sent it")
        return self._vouched(self._token(metadata, begun, code), begun.nonce)

    def _token(self, metadata: _Metadata, begun: Begun, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        name, reference = self.spec.client_id, self.spec.client_secret
        if reference is None:
            form["client_id"] = name
        else:
            secret = read_secret(reference, self._root, where="factory.yaml: sign_in.oidc.client_secret")
            if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
                both = f"{quote_plus(name)}:{quote_plus(secret)}".encode()
                headers["authorization"] = f"Basic {base64.b64encode(both).decode()}"
            else:
                form |= {"client_id": name, "client_secret": secret}
        answer = _ask("POST", metadata.token_endpoint, headers, urlencode(form).encode())
        if answer.status in {400, 401}:
            raise _not_taken(answer.body)
        return _read(answer, metadata.token_endpoint, _Tokens).id_token

    def _vouched(self, token: str, nonce: str) -> Vouched:
        try:
            payload = self._verified(token)
            claims = msgspec.json.decode(payload, type=_Claims)
            others = msgspec.json.decode(payload, type=dict[str, Any])
        except (JoseError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            # What the token holds is not repeated.
            raise _refused("its token cannot be trusted") from error
        self._check(claims, nonce)
        return Vouched(
            issuer=claims.iss,
            subject=claims.sub,
            name=_name(others, self.spec.name_claim),
            groups=_groups(others.get(self.spec.group_claim)),
        )

    def _verified(self, token: str) -> bytes:
        """Return what a token says, once its signature was found to be the provider's."""
        first = token.partition(".")[0]
        header = msgspec.json.decode(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)), type=_Header)
        if header.alg not in ALGORITHMS:
            raise _refused("its token has a signature that does not count")
        keys = self._fitting(header, at_once=False) or self._fitting(header, at_once=True)
        for key in keys:
            with suppress(BadSignatureError):
                return jws.deserialize_compact(token.encode("ascii"), key, registry=_REGISTRY).payload
        raise _refused("its token has a signature of nobody's key")

    def _fitting(self, header: _Header, *, at_once: bool) -> Sequence[Any]:
        """Return the keys that may have signed a token; with `at_once` those that the provider has now."""
        made = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
        kind = _KIND[header.alg]
        found: list[Any] = []
        for one in self._all_keys(at_once=at_once):
            is_fit = (
                one.get("kty") == kind
                and one.get("crv") == _CURVE.get(header.alg)
                and one.get("use", "sig") == "sig"
                and one.get("alg", header.alg) == header.alg
                and (header.kid is None or one.get("kid") == header.kid)
                and (kind != "RSA" or len(str(one.get("n"))) >= _LEAST_RSA)
            )
            if is_fit:
                # Of what the provider says only the public key is taken; a key that is damaged is none.
                names = ("kty", "crv", "n", "e", "x", "y")
                with suppress(JoseError, ValueError, TypeError):
                    found.append(made[kind].import_key({name: one[name] for name in names if name in one}))
        return found

    def _all_keys(self, *, at_once: bool) -> list[dict[str, Any]]:
        metadata = self._metadata()
        with self._lock:
            if at_once or self._keys is None or self._keys[1] <= monotonic():
                answer = _ask("GET", metadata.jwks_uri, {"accept": "application/json"})
                self._keys = _read(answer, metadata.jwks_uri, _Keys).keys, monotonic() + _FRESH_S
            return self._keys[0]

    def _check(self, claims: _Claims, nonce: str) -> None:
        now = datetime.fromisoformat(self._now()).timestamp()
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        is_ours = self.spec.client_id in audience and (
            claims.azp == self.spec.client_id or (claims.azp is None and len(audience) == 1)
        )
        if claims.iss != self.spec.issuer:
            raise _refused("its token is of another provider")
        if not is_ours:
            raise _refused("its token is for another client")
        if not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
            raise _refused("its token is of another sign-in")
        if claims.exp <= now - LEEWAY_S or claims.iat < now - _YOUNG_S - LEEWAY_S:
            raise _refused("its token has expired")
        if claims.iat > now + LEEWAY_S or (claims.nbf or 0.0) > now + LEEWAY_S:
            raise _refused("its token is of the future: compare the clocks")
        if not 0 < len(claims.sub) <= 255:
            raise _refused("its token does not say whom it is about")

    def _metadata(self) -> _Metadata:
        with self._lock:
            now = monotonic()
            if self._trouble is not None and now < self._trouble[1]:
                raise from_json(self._trouble[0])
            if self._said is None or self._said[1] <= now:
                try:
                    self._said = self._discovered(), now + _FRESH_S
                    self._trouble = None
                except LinewrightError as error:
                    self._trouble = error.to_json(), monotonic() + _AGAIN_S
                    raise
            return self._said[0]

    def _discovered(self) -> _Metadata:
        where = f"{self.spec.issuer.rstrip('/')}/.well-known/openid-configuration"
        said = _read(_ask("GET", where, {"accept": "application/json"}), where, _Metadata)
        if said.issuer != self.spec.issuer:
            raise Terminal(
                "the provider calls itself something else",
                where=where,
                found=said.issuer[:200],
                allowed=self.spec.issuer,
                hint="sign_in: oidc: issuer in factory.yaml is what it calls itself, letter for letter",
            )
        for endpoint in (said.authorization_endpoint, said.token_endpoint, said.jwks_uri):
            _require_safe(endpoint, where)
        return said


def _require_safe(endpoint: str, where: str) -> None:
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_plain = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    is_private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not (host and is_plain and is_private) or "@" in parts.netloc or parts.fragment:
        raise Terminal(
            "an address of the provider cannot be used",
            where=where,
            found=endpoint[:200],
            allowed="https://HOST/PATH, and http to this machine",
        )


def _ask(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = Connection(parts.scheme, parts.hostname or "", parts.port, seconds=_WAIT_S)
    try:
        answer = connection.ask(method, target, body=body, headers=headers, most=_MOST_BYTES + 1)
    except Unanswered as error:
        raise _unreachable(url, str(error)) from error
    finally:
        connection.close()
    if answer.status >= 500 or answer.status == 429:
        raise _unreachable(url, f"status {answer.status}")
    return answer


def _read(answer: Answer, where: str, kind: type[Any]) -> Any:
    found = f"status {answer.status}"
    if answer.status == 200:
        try:
            if len(answer.body) <= _MOST_BYTES:
                return msgspec.json.decode(answer.body, type=kind)
            found = f"more than {_MOST_BYTES:,} bytes"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            found = "no JSON" if not isinstance(error, msgspec.ValidationError) else str(error)
    raise Terminal(
        "the provider answers something else than OpenID Connect wants",
        where=where.partition("?")[0],
        found=found,
        hint="redirects are not followed" if 300 <= answer.status < 400 else "",
    )


def _name(claims: dict[str, Any], claim: str) -> str:
    found = claims.get(claim)
    if not isinstance(found, str) or not found:
        raise _refused(f"its token has no name: {claim[:40]!r} is not there")
    if claim == "email" and claims.get("email_verified") is not True:
        raise _refused("it has not verified the address of e-mail")
    return found


def _groups(found: Any) -> tuple[str, ...]:
    many: list[Any] = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(one for one in many if isinstance(one, str))


def _not_taken(body: bytes) -> Unauthenticated | Terminal:
    try:
        said = msgspec.json.decode(body, type=dict[str, Any]).get("error")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = None
    word = said if isinstance(said, str) and _WORD.fullmatch(said) else "no reason"
    if word in {"invalid_client", "unauthorized_client"}:
        return Terminal(
            "the provider does not know this factory",
            where="sign_in.oidc",
            found=word,
            hint="compare client_id and client_secret in factory.yaml with what the provider has",
        )
    return _refused(f"it does not take the code: {word}")


def _unreachable(url: str, found: str) -> Transient:
    parts = urlsplit(url)
    return Transient(
        "the provider cannot be reached",
        where=f"{parts.scheme}://{parts.netloc}",
        found=found,
        hint="try again; who has a password signs in without it",
    )


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(
        f"the provider let nobody in: {why}", where="sign-in", hint="sign in again: /sign-in"
    )
