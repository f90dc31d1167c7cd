"""What is told of an event: a CloudEvent for programs, and one sentence for people. Both follow from the record alone."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from linewright import __version__
from linewright.errors import LinewrightError
from linewright.model.facts import Certificate
from linewright.people.spec import Topic
from linewright.release.facts import Deployed
from linewright.store.metadata.audit_chain import Link
from linewright.store.protocols import MetadataReader
from linewright.store.values import decoder
from linewright.watch.facts import Alerted

OPENLINEAGE_PRODUCER = f"https://linewright.invalid/{__version__}"
"""Names this program in events of OpenLineage."""
OPENLINEAGE_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
TEST = "test"
"""Kind of the message that tries a destination."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, to be told."""

    seq: int
    """Its place in the record."""
    id: str
    """Digest of its entry in the record: the same however often it is sent."""
    topic: Topic | None
    """`None` of a test."""
    kind: str
    line: str
    subject: str
    """LINE or LINE@VERSION."""
    at: str
    says: str
    """One sentence, for people."""
    event: dict[str, Any]
    """The event as it was recorded."""


class _Kind(msgspec.Struct, frozen=True):
    topics: tuple[Topic, ...]
    says: Callable[[dict[str, Any], MetadataReader], tuple[Topic, str] | None]


def cloud_event(message: Message, factory: str) -> dict[str, Any]:
    """Return a message as a CloudEvent 1.0.

    Examples
    --------
    >>> told = Message(seq=7, id="sha256:ab", topic="halts", kind="halted", line="a", subject="a", at="2026-11-25T00:00:00.000000Z", says="a was halted", event={})
    >>> event = cloud_event(told, "prod")
    >>> event["type"], event["source"], event["id"], event["sequence"]
    ('linewright.halted', '/linewright/prod/a', 'sha256:ab', '000000000007')
    """
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": "/".join(
            ["/linewright", quote(factory, safe=""), *([message.line] if message.line else [])]
        ),
        "type": f"linewright.{message.kind}",
        "subject": message.subject,
        "time": message.at,
        "datacontenttype": "application/json",
        "sequence": f"{message.seq:012}",
        "data": {
            "topic": message.topic,
            "line": message.line,
            "says": message.says,
            "event": message.event,
        },
    }


def kinds_of(topics: tuple[Topic, ...]) -> tuple[str, ...]:
    """Return the kinds of events among which the topics are."""
    return tuple(name for name, kind in _KINDS.items() if set(kind.topics) & set(topics))


def message_of(link: Link, metadata: MetadataReader, topics: tuple[Topic, ...]) -> Message | None:
    """Return what is told of an event; `None` where it is none of the topics."""
    kind = _KINDS.get(link.kind)
    if kind is None:
        return None
    event = msgspec.json.decode(link.body, type=dict[str, Any])
    told = kind.says(event, metadata)
    if told is None or told[0] not in topics:
        return None
    model = event.get("model")
    return Message(
        seq=link.seq,
        id=link.chain,
        topic=told[0],
        kind=link.kind,
        line=link.line,
        subject=f"{link.line}@{model}" if model is not None else link.line,
        at=link.at,
        says=told[1],
        event=event,
    )


def probe_message(*, id: str, at: str, destination: str) -> Message:  # noqa: A002 -- what CloudEvents calls it
    """Return a message that tries a destination."""
    return Message(
        seq=0,
        id=id,
        topic=None,
        kind=TEST,
        line="",
        subject=destination,
        at=at,
        says=f"a test of the destination {destination!r}: nothing has happened",
        event={},
    )


# Sentences


def _alerted(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    return "alerts", f"{event['line']}, alert: {event['because']}"


def _cleared(event: dict[str, Any], metadata: MetadataReader) -> tuple[Topic, str]:
    alerts = metadata.events(Alerted, line=event["line"], newest_first=True)
    said = next((f" (it said: {one.because})" for one in alerts if one.id == event["alert"]), "")
    return "alerts", f"{event['line']}, an alert is over: {event['because']}{said}"


def _proposed(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    return "proposals", f"{event['line']} is to train again: {event['because']}"


def _waiting(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    return "waiting", f"{event['line']}: {event['because']}"


def _refused(event: dict[str, Any], metadata: MetadataReader) -> tuple[Topic, str]:
    model = f"{event['line']}@{event['model']}"
    if event["verdict"] == "hold" and _passes(event["certificate"], metadata):
        return "approvals", f"{model} passed its gates and waits for a person: {event['because']}"
    return "refusals", f"{model} was not promoted ({event['verdict']}): {event['because']}"


def _passes(certificate: str, metadata: MetadataReader) -> bool:
    try:
        return metadata.get(certificate, Certificate).verdict == "promote"
    except LinewrightError:  # a damaged record is told of elsewhere, and must not keep back this news
        return False


def _change_proposed(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    kind, by, command = event["change_kind"], event["by"], f"linewright approve {event['id']}"
    return (
        "approvals",
        f"{event['line'] or 'factory'}: a proposal ({kind}) by {by} waits: {event['because']}: `{command}`",
    )


def _promoted(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    by_force = " by force" if event.get("forced") else ""
    return "promotions", f"{event['line']}@{event['model']} was promoted{by_force}: {event['because']}"


def _rolled_back(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    line = event["line"]
    return (
        "rollbacks",
        f"{line} was rolled back from {line}@{event['before']} to {line}@{event['model']}: {event['because']}",
    )


def _deployed(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    part = decoder(Deployed).decode(msgspec.json.encode(event)).part
    return "trials", f"{event['line']}@{event['model']} {part}: {event['because']}"


def _withdrawn(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    return "trials", f"{event['line']}@{event['model']} was taken back: {event['because']}"


def _halted(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str]:
    what = "halted" if event["halt"] else "freed"
    return "halts", f"{event['line']} was {what} by {event['by']}: {event['because']}"


def _finished(event: dict[str, Any], _: MetadataReader) -> tuple[Topic, str] | None:
    if event["outcome"] != "failed":
        return None
    why = (event.get("error") or {}).get("message") or event["because"]
    return "failures", f"{event['line']}, run {event['run']} failed: {why}"


_KINDS: Mapping[str, _Kind] = {
    "alerted": _Kind(("alerts",), _alerted),
    "cleared": _Kind(("alerts",), _cleared),
    "proposed": _Kind(("proposals",), _proposed),
    "waiting": _Kind(("waiting",), _waiting),
    "refused": _Kind(("refusals", "approvals"), _refused),
    "change-proposed": _Kind(("approvals",), _change_proposed),
    "promoted": _Kind(("promotions",), _promoted),
    "rolled_back": _Kind(("rollbacks",), _rolled_back),
    "deployed": _Kind(("trials",), _deployed),
    "withdrawn": _Kind(("trials",), _withdrawn),
    "halted": _Kind(("halts",), _halted),
    "finished": _Kind(("failures",), _finished),
}
"""Kind of event → what it may be about, and how it is said."""
