"""What becomes of one label: kept, known already, in the place of another, about no prediction, or in conflict with one.

Each function works in the write transaction of whoever calls it.
"""

import sqlite3
import uuid
from datetime import UTC, datetime, timedelta

import msgspec

from linewright.errors import Conflict
from linewright.serve.answers import FeedbackAnswer, UnknownLabel
from linewright.serve.feedback.parse import Label, Place
from linewright.serve.log.ids import is_id, number_of
from linewright.serve.log.index import KEYED, set_apart

KEEP_ANSWERS = timedelta(days=7)


def text_of(label: str | float) -> str:
    """Return a label as it is kept: equal labels are equal texts."""
    return msgspec.json.encode(label).decode()


def keep(database: sqlite3.Connection, label: Label, received: str, place: Place) -> str:
    """Keep one label, and return how it counts."""
    text = text_of(label.label)
    if label.is_time and label.corrects is None:
        label = _grown(database, label)
        text = text_of(label.label)
    try:
        if label.corrects is not None:
            correct = _correct_by_key if label.id is None else _correct_by_id
            return correct(database, label, text, text_of(label.corrects), received)
        first = _keep_by_key if label.id is None else _keep_by_id
        return first(database, label, text, received)
    except Conflict as error:
        error.where = place(label.number, "")
        raise


def _grown(database: sqlite3.Connection, label: Label) -> Label:
    """Return a time as it counts given the one that is kept: its correction if that was censored before it, the kept one if it says less.

    What had not happened by day 300 may have happened on day 400, and who says so does not gainsay it.
    """
    from linewright.model.tasks.censoring import read_time  # noqa: PLC0415 -- who only reads feedback needs no numpy

    text = _kept_of(database, label)
    kept = None if text is None else msgspec.json.decode(text)
    before, now = read_time(kept), read_time(label.label)
    if before is None or now is None or kept == label.label:
        return label
    (then, had_happened), (time, happened) = before, now
    if not had_happened and time >= then:
        return msgspec.structs.replace(label, corrects=kept)
    return msgspec.structs.replace(label, label=kept) if not happened and time <= then else label


def _kept_of(database: sqlite3.Connection, label: Label) -> str | None:
    """Return the label that is kept of the prediction or key that a label is about."""
    if label.id is not None:
        identity = number_of(label.id)
        row = _key_of(database, identity)
        found = _newest(database, "id", identity) or (row and _newest(database, "key", row[0]))
        return found[0] if found else None
    newest = _newest(database, "key", label.key)
    labels = [other for _, other in _labels_of_key(database, label.key) if other is not None]
    return newest[0] if newest else next(iter(labels), None)


def unknown(label: Label, place: Place) -> UnknownLabel:
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
    row = _key_of(database, identity)
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


def _key_of(database: sqlite3.Connection, identity: bytes | None) -> tuple[str | None] | None:
    """Return the key of the prediction that has an id; `None` where no prediction has."""
    if identity is not None:
        set_apart(database, identity)
    return database.execute("SELECT key FROM predictions WHERE id = ?", (identity,)).fetchone()


def _keep_by_key(database: sqlite3.Connection, label: Label, text: str, received: str) -> str:
    about = f"key {label.key}"
    kept = _newest(database, "key", label.key)
    if kept is not None:
        return _repeated(label, text, kept[0], about=about)
    predictions = _labels_of_key(database, label.key)
    if not predictions:
        return "unknown"
    for identity, other in predictions:
        if other is not None:
            _repeated(label, text, other, about=f"prediction {uuid.UUID(bytes=identity)} of {about}")
    database.execute("INSERT INTO by_key VALUES (?, ?, ?, ?)", (label.key, text, label.at, received))
    return "repeated" if all(other is not None for _, other in predictions) else "accepted"


def _newest(database: sqlite3.Connection, by: str, value: bytes | str | None) -> tuple[str, str] | None:
    """Return the label that is kept of an id or a key, and when it was received."""
    query = f"SELECT label, received FROM by_{by} WHERE {by} = ?"  # noqa: S608 -- names of this module
    return database.execute(query, (value,)).fetchone()


def _labels_of_key(database: sqlite3.Connection, key: str | None) -> list[tuple[bytes, str | None]]:
    """Return the predictions about a key, each with its label by id."""
    return [
        row
        for view in KEYED
        for row in database.execute(
            f"SELECT p.id, i.label FROM {view} p LEFT JOIN by_id i ON i.id = p.id WHERE p.key = ?",  # noqa: S608
            (key,),
        )
    ]


def _repeated(label: Label, text: str, kept: str, *, about: str) -> str:
    if text != kept:
        raise _conflict(
            label,
            f"another label is already kept for {about}",
            found=label.label,
            kept=kept,
            hint="take the label out of the batch, and find out which of the two is true; a label replaces the one "
            "that it names in `corrects`",
        )
    return "repeated"


def _conflict(label: Label, what: str, *, found: str | float | None, kept: str | None, hint: str) -> Conflict:
    return Conflict(
        f"{what}; nothing of this batch is kept",
        found=found,
        allowed="" if kept is None else str(msgspec.json.decode(kept)),
        hint=hint,
        details={"id": label.id, "key": label.key},
    )


# Correcting


def _correct_by_id(database: sqlite3.Connection, label: Label, text: str, old: str, received: str) -> str:
    identity, about = number_of(label.id or ""), f"prediction {label.id}"
    row = _key_of(database, identity)
    if row is None:
        return "unknown"
    own, of_key = _newest(database, "id", identity), _newest(database, "key", row[0])
    kept = own or of_key
    if kept is None:
        raise _nothing_to_correct(label, about)
    by, value = ("key", row[0]) if own is None else ("id", identity)
    if kept[0] == text and old in _replaced(database, by, value, kept[1]):
        return "repeated"
    _require_known(label, kept[0], old, about=about)
    if of_key is not None:
        raise _conflict(
            label,
            f"the label of {about} holds for each prediction of key {row[0]}",
            found=label.label,
            kept=kept[0],
            hint="correct it by `key`; then it is corrected for all of them",
        )
    _replace(database, "id", identity, label, received)
    return "corrected"


def _correct_by_key(database: sqlite3.Connection, label: Label, text: str, old: str, received: str) -> str:
    about, kept = f"key {label.key}", _newest(database, "key", label.key)
    predictions = _labels_of_key(database, label.key)
    if not predictions:
        return "unknown"
    labelled = [(identity, other) for identity, other in predictions if other is not None]
    if kept is None and not labelled:
        raise _nothing_to_correct(label, about)
    if kept is not None:
        if kept[0] == text and old in _replaced(database, "key", label.key, kept[1]):
            return "repeated"
        _require_known(label, kept[0], old, about=about)
    for identity, other in labelled:
        _require_known(label, other, old, about=f"prediction {uuid.UUID(bytes=identity)} of {about}")
    for identity, _ in labelled:
        _replace(database, "id", identity, label, received)
    if kept is None:
        database.execute("INSERT INTO by_key VALUES (?, ?, ?, ?)", (label.key, text, label.at, received))
    else:
        _replace(database, "key", label.key, label, received)
    return "corrected"


def _require_known(label: Label, kept: str, old: str, *, about: str) -> None:
    if kept != old:
        raise _conflict(
            label,
            f"the label that is kept for {about} is not the one that this corrects",
            found=label.corrects,
            kept=kept,
            hint="somebody may have corrected it before: look which is true, and name in `corrects` the one that is kept",
        )


def _nothing_to_correct(label: Label, about: str) -> Conflict:
    return _conflict(
        label,
        f"no label is kept for {about} that this could correct",
        found=label.corrects,
        kept=None,
        hint="send it without `corrects`",
    )


def _replaced(database: sqlite3.Connection, by: str, value: bytes | str | None, received: str) -> set[str]:
    """Return what the label that was received at an instant has replaced."""
    asked = {"value": value, "received": received}
    rows = database.execute(
        f"SELECT label FROM earlier_by_{by} WHERE {by} = :value AND replaced = :received",  # noqa: S608 -- names of this module
        asked,
    ).fetchall()
    if by == "key":
        # The first label by key may itself be the correction of labels by id.
        for view in KEYED:
            rows += database.execute(
                f"SELECT e.label FROM {view} p JOIN earlier_by_id e ON e.id = p.id "  # noqa: S608
                "WHERE p.key = :value AND e.replaced = :received",
                asked,
            ).fetchall()
    return {label for (label,) in rows}


def _replace(
    database: sqlite3.Connection, by: str, value: bytes | str | None, label: Label, received: str
) -> None:
    # A clock that was set back must not end a label before it began.
    asked = {"value": value, "label": text_of(label.label), "at": label.at, "received": received}
    database.execute(
        f"INSERT INTO earlier_by_{by} SELECT {by}, label, at, received, max(received, :received) "  # noqa: S608 -- names of this module
        f"FROM by_{by} WHERE {by} = :value",
        asked,
    )
    database.execute(
        f"UPDATE by_{by} SET label = :label, at = :at, received = max(received, :received) WHERE {by} = :value",  # noqa: S608 -- names of this module
        asked,
    )


def answer_before(database: sqlite3.Connection, key: str, body: str) -> FeedbackAnswer | None:
    """Return the answer that an idempotency key got before; `None` where it is new."""
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
    return msgspec.json.decode(row[1], type=FeedbackAnswer)


def remember(
    database: sqlite3.Connection, key: str, body: str, answer: FeedbackAnswer, received: str
) -> None:
    """Keep the answer that an idempotency key gets, and forget those that are older than `KEEP_ANSWERS`."""
    oldest = (datetime.fromisoformat(received).astimezone(UTC) - KEEP_ANSWERS).isoformat()
    database.execute("DELETE FROM answers WHERE received < ?", (oldest,))
    database.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?)", (key, body, msgspec.json.encode(answer).decode(), received)
    )
