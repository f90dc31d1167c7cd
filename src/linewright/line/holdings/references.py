"""What refers to what: the results and the bytes that must be there because a result names them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from linewright.store.values import digest_of_bytes

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Needs(NamedTuple):
    """What one result needs."""

    results: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    """Contents of chunks, each kept in one or more blobs."""


def needs_of(kind: str, digest: str, body: str) -> Needs:
    """Return what a stored result needs; of a kind that is unknown here, nothing."""
    found = _NEEDS.get(kind)
    return found(digest, msgspec.json.decode(body)) if found else Needs()


def results_of_event(kind: str, body: str) -> tuple[str, ...]:
    """Return the digests of the results that an event refers to; of a kind that is unknown here, nothing."""
    names = _EVENTS.get(kind)
    parts = msgspec.json.decode(body) if names else {}
    found = [parts.get(name) for name in names or ()]
    each = (one.values() if isinstance(one, dict) else (one,) for one in found)
    return tuple(digest for digests in each for digest in digests if digest)


def digests_in(text: str) -> Iterator[str]:
    """Iterate over everything in a text that has the form of a digest.

    Examples
    --------
    >>> len(list(digests_in('{"a":"sha256:' + "0" * 64 + '","b":"sha256:12"}')))
    1
    """
    return (match[0] for match in DIGEST.finditer(text))


def is_whole(digest: str, body: str) -> bool:
    """Return whether a stored result has its digest."""
    return digest_of_bytes(body.encode()) == digest


def _results(*names: str) -> Callable[[str, dict[str, Any]], Needs]:
    def needs(_digest: str, body: dict[str, Any]) -> Needs:
        found = (body.get(name) for name in names)
        return Needs(results=tuple(one for one in found if one and DIGEST.fullmatch(one)))

    return needs


def _given(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the digests of a user's file of code, of the rows for a threshold, and of the network for pictures that a model was made with."""
    estimated, pictures = body["estimated"] or {}, body.get("pictures") or {}
    return tuple(one for one in (estimated.get("code"), body["scored"], pictures.get("backbone")) if one)


def _networks(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the digests of what makes numbers of the pictures and of the sentences of a model."""
    encoder = body["encoder"]
    found = [one["backbone"] for one in encoder.get("pictures", ())]
    for one in encoder.get("sentences", ()):
        found += [one["model"], one["tokenizer"]]
    return tuple(dict.fromkeys(found))


_NEEDS: Mapping[str, Callable[[str, dict[str, Any]], Needs]] = {
    "dataset": lambda _, body: Needs(contents=tuple(chunk["content"] for chunk in body["chunks"])),
    "source_history": lambda _, body: Needs(
        results=(body["before"],) if body["before"] else (),
        blobs=tuple(chunk["blob"] for chunk in body["chunks"]),
    ),
    "quarantine": lambda _, body: Needs(blobs=(body["blob"],)),
    "ingested": _results("dataset", "quarantine", "series"),
    "series_values": lambda _, body: Needs(blobs=(body["blob"],)),
    "split": lambda _, body: Needs(results=(body["dataset"],), blobs=(body["parts"],)),
    "trained": lambda _, body: Needs(
        results=(body["dataset"], body["split"]), blobs=(body["native"], *_given(body))
    ),
    "package": lambda digest, body: Needs(
        results=(body["trained"],), blobs=(digest, body["graph"], body["golden"], *_networks(body))
    ),
    "parity": _results("package"),
    "decision": _results("package"),
    "explanation": lambda _, body: Needs(
        results=(body["package"], body["split"]),
        blobs=tuple(one for name in ("scores", "scored") if (one := (body["linear"] or {}).get(name))),
    ),
    "evaluation": _results("package", "split", "explanation"),
    "certificate": _results("package", "rival", "split", "evaluation", "decision"),
    "plan": _results("declared"),
    "reference": _results("package"),
    "window": _results("package", "reference"),
    "performance": _results("package"),
    "confirmations": _results("package"),
    "segment": lambda _, body: Needs(blobs=(body["blob"],)),
    "trial": _results("package", "rival"),
    "value_account": lambda _, body: Needs(results=tuple(body["months"])),
    "promotion_change": _results("package", "certificate"),
    "retrain_proposal": lambda _, body: Needs(results=tuple(body.get("evidence", ()))),
}
"""By kind of result."""

_EVENTS: Mapping[str, tuple[str, ...]] = {
    "accepted": ("plan", "declared", "proposal"),
    "finished": ("ingested", "certificate"),
    "registered": ("package", "ingested", "parity", "decision", "computed_in"),
    "promoted": ("package", "certificate", "declared", "evidence"),
    "deployed": ("package", "certificate", "evidence"),
    "withdrawn": ("package", "certificate", "evidence"),
    "refused": ("package", "certificate"),
    "rolled_back": ("package",),
    "watched": ("window", "package", "performance", "confirmations"),
    "alerted": ("package", "evidence"),
    "cleared": ("evidence",),
    "proposed": ("proposal",),
    "change-proposed": ("change",),
    "sealed": ("segment",),
    "accounted": ("account",),
    "rebuilt": ("package",),
    "series_read": ("values", "base"),
}
"""Fields of each kind of event that name a result, or several by name."""
