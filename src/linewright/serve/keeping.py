"""What becomes of one label: kept, known already, about no prediction, or in conflict with another.

Each function works in the write transaction of whoever calls it.
"""

import re
import sqlite3
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from linewright.errors import Conflict
from linewright.serve.labels import Label, Place

KEEP_ANSWERS = timedelta(days=7)
_PLAIN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""How an id is written by us; it may be asked for in other spellings."""


def is_id(text: str) -> bool:
    """Return whether a text has the form of a prediction's id."""
    return number_of(text) is not None


def number_of(text: str) -> bytes | None:
    """Return an id as its 16 bytes, or `None` where it has not the form of one."""
    if _PLAIN_ID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def text_of(label: str | float) -> str:
    """Return a label as it is kept: equal labels are equal texts."""
    return msgspec.json.encode(label).decode()


def keep(database: sqlite3.Connection, label: Label, received: str, place: Place) -> str:
    """Keep one label and return how it counts: ``accepted``, ``repeated`` or ``unknown``.

    Raises
    ------
    Conflict
        If another label is already kept for the same prediction or key.
    """
    text = text_of(label.label)
    keep_by = _keep_by_key if label.id is None else _keep_by_id
    try:
        return keep_by(database, label, text, received)
    except Conflict as error:
        error.where = place(label.number, "")
        raise


def unknown(label: Label, place: Place) -> dict[str, str]:
    """Say which label is about no prediction, and why."""
    where = place(label.number, "")
    if label.id is None:
        return {"where": where, "key": label.key or "", "why": "no prediction has this key"}
    return {
        "where": where,
        "id": label.id,
        "why": "no prediction has this id"
        if is_id(label.id)
        else "this is not the form of a prediction's id",
    }


def _keep_by_id(database: sqlite3.Connection, label: Label, text: str, received: str) -> str:
    identity = number_of(label.id or "")
    row = database.execute("SELECT key FROM predictions WHERE id = ?", (identity,)).fetchone()
    if row is None:
        return "unknown"
    kept = database.execute(
        "SELECT label FROM by_id WHERE id = ? UNION ALL SELECT label FROM by_key WHERE key = ?",
        (identity, row[0]),
    ).fetchone()
    if kept is not None:
        return _repeated(label, text, kept[0], about=f"prediction {label.id}")
    database.execute("INSERT INTO by_id VALUES (?, ?, ?, ?)", (identity, text, label.at, received))
    return "accepted"


def _keep_by_key(database: sqlite3.Connection, label: Label, text: str, received: str) -> str:
    about = f"key {label.key}"
    kept = database.execute("SELECT label FROM by_key WHERE key = ?", (label.key,)).fetchone()
    if kept is not None:
        return _repeated(label, text, kept[0], about=about)
    predictions = database.execute(
        "SELECT p.id, i.label FROM predictions p LEFT JOIN by_id i ON i.id = p.id WHERE p.key = ?",
        (label.key,),
    ).fetchall()
    if not predictions:
        return "unknown"
    for identity, other in predictions:
        if other is not None:
            _repeated(label, text, other, about=f"prediction {uuid.UUID(bytes=identity)} of {about}")
    database.execute("INSERT INTO by_key VALUES (?, ?, ?, ?)", (label.key, text, label.at, received))
    return "repeated" if all(other is not None for _, other in predictions) else "accepted"


def _repeated(label: Label, text: str, kept: str, *, about: str) -> str:
    if text != kept:
        raise Conflict(
            f"another label is already kept for {about}; nothing of this batch is kept",
            found=label.label,
            allowed=str(msgspec.json.decode(kept)),
            hint="take the label out of the batch, and find out which of the two is true",
            details={"id": label.id, "key": label.key},
        )
    return "repeated"


def answer_before(database: sqlite3.Connection, key: str, body: str) -> dict[str, Any] | None:
    """Return the answer that an idempotency key got before; `None` where it is new.

    Raises
    ------
    Conflict
        If it came with other labels.
    """
    row = database.execute("SELECT body, answer FROM answers WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row[0] != body:
        raise Conflict(
            "this idempotency key came with other labels before",
            where="Idempotency-Key",
            found=key,
            hint="use a new key for new labels",
        )
    return msgspec.json.decode(row[1], type=dict[str, Any])


def remember(
    database: sqlite3.Connection, key: str, body: str, answer: Mapping[str, Any], received: str
) -> None:
    """Keep the answer that an idempotency key gets, and forget those that are older than `KEEP_ANSWERS`."""
    oldest = (datetime.fromisoformat(received).astimezone(UTC) - KEEP_ANSWERS).isoformat()
    database.execute("DELETE FROM answers WHERE received < ?", (oldest,))
    database.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?)", (key, body, msgspec.json.encode(answer).decode(), received)
    )
