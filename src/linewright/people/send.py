"""Sending messages: to a webhook, to one that takes what Slack takes, by e-mail. Each try has a time limit and reads little."""

import base64
import binascii
import hashlib
import hmac
import os
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from linewright.errors import SpecError
from linewright.people.connection import Answer, Connection, Deadline, Unanswered
from linewright.people.messages import OPENLINEAGE_PRODUCER, OPENLINEAGE_SCHEMA, TEST, Message, cloud_event
from linewright.people.spec import DestinationSpec, EmailSpec, LineageSpec, SlackSpec, WebhookSpec
from linewright.store.files.secret import read_secret

SEND_S = 10.0
"""Seconds that a POST may take, from the connection to the answer; a receiver that needs longer should answer first and work then."""
MAIL_S = 60.0
"""Seconds that a mail may take: servers let strangers wait on purpose."""
_MOST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; of one that is longer the connection is closed."""
_SHOWN = 200
"""Letters of an answer that are told."""
_MOST_PAUSE_S = 3600.0
"""The longest pause that a receiver may ask for with Retry-After, in seconds."""
_OF_THE_EVENT = frozenset({400, 413, 415, 422})
"""Statuses that say that this event is wrong for the receiver, whenever it is sent."""
_SOME, _MANY = 20, 50
"""Events in one text message, and in one e-mail: what has waited for long does not become as many messages."""


class Undelivered(Exception):  # noqa: N818 -- says what happened
    """A try failed."""

    def __init__(self, why: str, *, is_refused: bool = False, pause_s: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.is_refused, self.pause_s = why, is_refused, pause_s


class Sender(Protocol):
    """Sends messages to one receiver; `most` at a time. It keeps its connection until it is closed."""

    most: int

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, all or none; raise `Undelivered` where the receiver did not say that it has them."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def sign(secret: str, *, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002 -- the specification's name
    """Return the value of ``webhook-signature``: HMAC-SHA256 of ``ID.TIMESTAMP.BODY``, in base64.

    Examples
    --------
    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        with suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def open_sender(
    spec: DestinationSpec | LineageSpec, recipient: str | None, *, root: Path, where: str, at: str
) -> "Sender":
    """Return what sends to a destination. Its secrets are read now; nothing is connected yet."""
    match spec:
        case WebhookSpec():
            url = spec.webhook
            if url.startswith(("env:", "file:")):
                url = read_secret(url, root, where=f"{where}.webhook")
            secret = spec.secret and read_secret(spec.secret, root, where=f"{where}.secret")
            return _Webhook(Post(url, where=f"{where}.webhook"), secret=secret, factory=root.name, at=at)
        case SlackSpec():
            return _Slack(Post(read_secret(spec.slack, root, where=f"{where}.slack"), where=f"{where}.slack"))
        case LineageSpec(file=str() as file):
            return _OpenLineageFile(root / file)
        case LineageSpec():
            token = spec.token and read_secret(spec.token, root, where=f"{where}.token")
            return _OpenLineage(Post(spec.openlineage, where=f"{where}.openlineage"), token)
        case EmailSpec():
            assert recipient is not None  # noqa: S101 -- each recipient is a destination
            password = spec.password and read_secret(spec.password, root, where=f"{where}.password")
            return _Email(spec, recipient, password=password, factory=root.name, at=at)


class _Webhook:
    most = 1

    def __init__(self, post: "Post", *, secret: str | None, factory: str, at: str) -> None:
        self._post, self._secret, self._factory = post, secret, factory
        self._timestamp = int(datetime.fromisoformat(at).timestamp())

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            body = msgspec.json.encode(cloud_event(message, self._factory))
            headers = {
                "content-type": "application/cloudevents+json; charset=utf-8",
                "webhook-id": message.id,
            }
            headers["webhook-timestamp"] = str(self._timestamp)
            if self._secret:
                headers["webhook-signature"] = sign(
                    self._secret, id=message.id, timestamp=self._timestamp, body=body
                )
            self._post.send(body, headers)

    def close(self) -> None:
        self._post.close()


class _Slack:
    most = _SOME

    def __init__(self, post: "Post") -> None:
        self._post = post

    def send(self, messages: Sequence[Message]) -> None:
        # Text of the data could otherwise call everybody (<!channel>) or make links.
        told = "\n".join(f"• {_escaped(message.says)}" for message in messages)
        self._post.send(msgspec.json.encode({"text": told}), {"content-type": "application/json"})

    def close(self) -> None:
        self._post.close()


def _openlineage_event(message: Message) -> bytes:
    """Return an event of OpenLineage; of a test, one about no run of a line."""
    about = {"run": {"runId": message.id}, "job": {"namespace": "linewright", "name": TEST}}
    probe = {
        "eventType": "OTHER",
        "eventTime": message.at,
        **about,
        "producer": OPENLINEAGE_PRODUCER,
        "schemaURL": OPENLINEAGE_SCHEMA,
    }
    return msgspec.json.encode(probe if message.kind == TEST else message.event)


class _OpenLineage:
    most = 1

    def __init__(self, post: "Post", token: str | None) -> None:
        self._post = post
        self._headers = {"content-type": "application/json"} | (
            {"authorization": f"Bearer {token}"} if token else {}
        )

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._post.send(_openlineage_event(message), self._headers)

    def close(self) -> None:
        self._post.close()


class _OpenLineageFile:
    most = 1

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[Message]) -> None:
        lines = b"".join(_openlineage_event(message) + b"\n" for message in messages)
        try:
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Undelivered(f"{self._path.name} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is held open."""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Post:
    """POST requests to one URL, on one connection. Redirects are not followed, and nothing is sent to a link-local address."""

    def __init__(self, url: str, *, where: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = SplitResult("", "", "", "", ""), None, None
        if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
            # It is not shown: it may be a secret.
            raise SpecError("this is not the URL of a webhook", where=where, allowed="https://HOST/PATH")
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._at = f"{parts.scheme}://{parts.netloc}"
        self._connection = Connection(parts.scheme, host, port, seconds=SEND_S)

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body; raise `Undelivered` unless the receiver said that it has it."""
        given = {"accept": "*/*", **headers}
        try:
            answer = self._connection.ask("POST", self._target, body=body, headers=given, most=_MOST_ANSWER)
        except Unanswered as error:
            raise Undelivered(f"{self._at} cannot be reached: {error}") from error
        if not 200 <= answer.status < 300:
            raise _answered(self._at, answer)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _answered(at: str, answer: Answer) -> Undelivered:
    status = answer.status
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    if 300 <= status < 400:
        return Undelivered(
            f"{at} answers {name}, and redirects are not followed: name the URL that it leads to"
        )
    text = " ".join(answer.body.decode("utf-8", "replace").split())[:_SHOWN]
    wanted = answer.headers.get("retry-after") or ""
    pause_s = min(float(wanted), _MOST_PAUSE_S) if wanted.isascii() and wanted.isdecimal() else 0.0
    return Undelivered(
        f"{at} answers {name}{f': {text}' if text else ''}",
        is_refused=status in _OF_THE_EVENT,
        pause_s=pause_s,
    )


class _Email:
    most = _MANY

    def __init__(
        self, spec: EmailSpec, recipient: str, *, password: str | None, factory: str, at: str
    ) -> None:
        self._spec, self._recipient, self._password = spec, recipient, password
        self._factory, self._at = factory, at
        self._server: smtplib.SMTP | None = None

    def send(self, messages: Sequence[Message]) -> None:
        try:
            letter = _letter(messages, self._spec.sender, self._recipient, self._factory, self._at)
        except (ValueError, MessageError, AttributeError) as error:  # the last for some addresses
            raise Undelivered(f"no mail can be written from or to these addresses: {error}") from error
        deadline = Deadline(MAIL_S, self._connected)
        try:
            with deadline:
                server = self._server or self._connect()
                server.send_message(letter, self._spec.sender, [self._recipient])
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._hang_up()
            says = _reply_of(error) or deadline.says(error)
            raise Undelivered(
                f"{self._spec.smtp} did not take the mail: {says}", is_refused=_is_final(error)
            ) from error

    def close(self) -> None:
        if self._server is not None:
            with suppress(OSError, smtplib.SMTPException), Deadline(SEND_S, self._connected):
                self._server.quit()
            self._hang_up()

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None

    def _connected(self) -> socket.socket | None:
        return getattr(self._server, "sock", None)

    def _connect(self) -> smtplib.SMTP:
        spec, context = self._spec, ssl.create_default_context()
        self._server = server = (
            smtplib.SMTP_SSL(timeout=SEND_S, context=context)
            if spec.security == "tls"
            else smtplib.SMTP(timeout=SEND_S)
        )
        # Given to the constructor, it would be connected there, beyond the reach of the deadline; TLS checks certificates for this name.
        server._host = spec.host  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        server.connect(spec.host, spec.port)
        if spec.security == "starttls":
            server.starttls(context=context)
        if spec.user is not None and self._password is not None:
            server.login(spec.user, self._password)
        return server


def _letter(messages: Sequence[Message], sender: str, recipient: str, factory: str, at: str) -> EmailMessage:
    letter = EmailMessage(policy=SMTP)
    first, more = messages[0].says, len(messages) - 1
    factory, told = (  # a line break would end the header
        " ".join("".join(c if c.isprintable() else " " for c in one).split()) for one in (factory, first)
    )
    letter["Subject"] = f"[{factory}] {told[:_SHOWN]}{f' (and {more} more)' if more else ''}"
    letter["From"] = Address(addr_spec=sender)
    letter["To"] = Address(addr_spec=recipient)
    letter["Date"] = format_datetime(datetime.fromisoformat(at))
    # Of the same messages it is the same, so that a reader of mail can drop a repeat.
    digest = hashlib.sha256("\n".join(message.id for message in messages).encode()).hexdigest()[:32]
    letter["Message-ID"] = f"<{digest}@linewright.invalid>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(
        "\n\n".join(f"{one.says}\n  {one.at}  {one.kind}  {one.id}" for one in messages) + "\n"
    )
    return letter


def _reply_of(error: Exception) -> str:
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()))
            return _reply(code, text)
        case smtplib.SMTPResponseException():
            return _reply(error.smtp_code, error.smtp_error)
        case _:
            return ""


def _reply(code: int, text: bytes | str) -> str:
    says = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(says.split())}"[:_SHOWN]


def _is_final(error: Exception) -> bool:
    """Return whether a server refuses this mail for what is in it, by a code of 5xx after its content."""
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
