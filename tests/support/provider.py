"""A provider of OpenID Connect for tests, on a real socket of this machine: it signs people in, and can be told to lie.

It signs with `cryptography` itself, so that what checks its tokens shares nothing with it.
"""

import base64
import hashlib
import hmac
import http.server
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from linewright.store.clock import now_utc

CLIENT, SECRET = "linewright", "s3cret of the client"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65_537, 2_048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KEYS["PS256"] = KEYS["RS256"]
OTHER = ec.generate_private_key(ec.SECP256R1())
"""A key that the provider does not have."""


def b64(found: bytes) -> str:
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()


def number(found: int) -> str:
    return b64(found.to_bytes((found.bit_length() + 7) // 8, "big"))


def public(name: str) -> dict[str, str]:
    """Return the public key of an algorithm as JWK (RFC 7517)."""
    key = KEYS[name].public_key()
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        case ec.EllipticCurvePublicKey():
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return {"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
        case _:
            return {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": b64(key.public_bytes(Encoding.Raw, PublicFormat.Raw)),
            }


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any = None) -> str:
    """Return a JWT (RFC 7519)."""
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    alg, data = header["alg"], text.encode()
    key = key or KEYS.get(alg)
    if alg == "none":
        made = b""
    elif alg == "HS256":
        pem = KEYS["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        made = hmac.digest(pem, data, "sha256")
    elif alg == "RS256":
        made = key.sign(data, padding.PKCS1v15(), SHA256())
    elif alg == "PS256":
        made = key.sign(data, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    elif alg == "ES256":
        made = b"".join(
            part.to_bytes(32, "big") for part in decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
        )
    else:
        made = key.sign(data)
    return f"{text}.{b64(made)}"


@dataclass
class Provider:
    """What it says, and what it saw. A test changes what it says."""

    issuer: str
    alg: str = "ES256"
    kid: str = "one"
    person: dict[str, Any] = field(default_factory=dict[str, Any])
    """Claims about who is signed in at it."""
    secret: str = SECRET
    """Empty for a public client."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    """Said in place of what is right."""
    token: Callable[[dict[str, Any]], str] | None = None
    """Makes the ID token of claims (default: as it is right)."""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict[str, Any])
    """By path, said in place of what is right."""
    asked: list[str] = field(default_factory=list[str])
    """Paths that it was asked for."""
    secrets: list[str] = field(default_factory=list[str])
    """What must stand in no log: codes, verifiers, tokens."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, Any])

    def begin(self) -> None:
        """Forget what a test changed."""
        self.alg, self.kid, self.secret, self.token = "ES256", "one", SECRET, None
        self.person, self.metadata, self.answers, self.asked = {}, {}, {}, []

    def header(self) -> dict[str, Any]:
        return {"alg": self.alg, "kid": self.kid, "typ": "JWT"}

    def said(self, path: str) -> Any:
        """Return the document at a path."""
        if path == "/keys":
            return {"keys": [{"kty": "oct", "k": "AAAA", "kid": self.kid}, {"kty": "EC", "crv": "P-256", "kid": self.kid},
                             {**public(self.alg), "kid": self.kid, "use": "sig"}]}  # fmt: skip
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.metadata,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser of the person goes with a code."""
        assert ("code", CLIENT, "S256") == (
            query["response_type"],
            query["client_id"],
            query["code_challenge_method"],
        )
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        self.secrets.append(code)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str]]:
        """Return the answer of the token endpoint."""
        self.secrets.append(form["code_verifier"])
        given = form.get("client_id", ""), form.get("client_secret", "")
        if authorization:
            both = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            given = tuple(map(unquote_plus, both.split(":")))
        if given != (CLIENT, self.secret):
            return 401, {"error": "invalid_client"}
        query = self.codes.pop(form["code"], None)
        if query is None or query["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if b64(hashlib.sha256(form["code_verifier"].encode()).digest()) != query["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "the verifier is wrong"}
        now = int(datetime.fromisoformat(now_utc()).timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": query["nonce"],
            **self.person,
        }
        token = signed(self.header(), claims) if self.token is None else self.token(claims)
        self.secrets.append(token)
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token}


@contextmanager
def provider() -> Iterator[Provider]:
    """Give a provider that says what is right."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            one.asked.append(path)
            if path in one.answers:
                self.say(*one.answers[path])
            elif path == "/authorize":
                self.say(302, {"location": one.authorize(dict(parse_qsl(query)))}, b"")
            else:
                self.say(200, {}, json.dumps(one.said(path)).encode())

        def do_POST(self) -> None:
            one.asked.append(urlsplit(self.path).path)
            form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            status, told = one.redeem(form, self.headers.get("authorization", ""))
            self.say(*one.answers.get(self.path, (status, {}, json.dumps(told).encode())))

        def say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:  # a client may leave before its answer
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    one = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
