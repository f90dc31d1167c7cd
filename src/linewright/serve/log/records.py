"""What a frame of the prediction log holds: one `Prediction`, or a `Predictions`, those of a request of many rows.

Of a prediction that was forgotten nothing is left but its place: a payload of blanks, or null for its row, its answer and its key
in a request; as long as it was, so that all others are where they were.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from linewright.serve.facts import LoggedAnswer, LoggedAnswers, Prediction, Predictions
from linewright.serve.log.ids import ids_from

_MANY = b'{"many":'
"""How a payload of many begins: with the first of its fields."""
_ENCODER = msgspec.json.Encoder()
_ONE = msgspec.json.Decoder(Prediction)
_SEVERAL = msgspec.json.Decoder(Predictions)
_ANSWER, _ANSWERS = msgspec.json.Decoder(LoggedAnswer), msgspec.json.Decoder(LoggedAnswers)


class _Rows(msgspec.Struct):
    rows: list[dict[str, Any] | None]


class _Texts(msgspec.Struct):
    rows: list[msgspec.Raw]


_ROWS, _TEXTS = msgspec.json.Decoder(_Rows), msgspec.json.Decoder(_Texts)


def row_texts(request: bytes) -> list[msgspec.Raw]:
    """Return the rows of a request's body, each as the JSON that it came as."""
    return _TEXTS.decode(request).rows


def payload_of(record: Prediction | Predictions) -> bytes:
    """Return what a frame holds of one record, or of those of a request."""
    return _ENCODER.encode(record)


def is_many(payload: bytes) -> bool:
    """Whether a payload is that of a `Predictions`."""
    return payload.startswith(_MANY)


def is_forgotten(payload: bytes) -> bool:
    """Whether nothing is left of the record of a payload."""
    return payload.isspace()


def count_of(payload: bytes) -> int:
    """Return how many records a payload holds, those that were forgotten among those of a request; 1 where that cannot be read.

    Examples
    --------
    >>> count_of(b'{"many":12,"first":"..."}'), count_of(b'{"id":"..."}'), count_of(b"     ")
    (12, 1, 0)
    """
    if not is_many(payload):
        return 0 if is_forgotten(payload) else 1
    digits = payload[len(_MANY) : len(_MANY) + 9].partition(b",")[0]
    return int(digits) if digits.isdigit() else 1


def records_of(payload: bytes) -> Sequence[Prediction]:
    """Return the records of a payload."""
    if not is_many(payload):
        return [] if is_forgotten(payload) else [_ONE.decode(payload)]
    told = _SEVERAL.decode(payload)
    rows = _ROWS.decode(told.request).rows
    if not len(rows) == len(told.answers) == told.many or len(told.keys or rows) != told.many:
        raise msgspec.ValidationError(
            f"{told.many} records of {len(rows)} rows and {len(told.answers)} answers"
        )
    keys = told.keys or [None] * told.many
    return [
        Prediction(
            id=identity,
            version=told.version,
            line=told.line,
            site=told.site,
            generation=told.generation,
            model=told.model,
            digest=told.digest,
            arm=told.arm,
            at=told.at,
            key=key,
            row=row,
            answer=answer,
            threshold=told.threshold,
            durability=told.durability,
            via=told.via,
        )
        for identity, key, row, answer in zip(
            ids_from(told.first, told.many), keys, rows, told.answers, strict=True
        )
        if row is not None and answer is not None
    ]


def answers_of(payload: bytes) -> LoggedAnswers | None:
    """Return what lists show of the records of a payload, of one as of many; `None` if nothing is left of it. Rows are not read."""
    if is_forgotten(payload):
        return None
    if is_many(payload):
        several = _ANSWERS.decode(payload)
        if len(several.answers) != several.many or len(several.keys or several.answers) != several.many:
            raise msgspec.ValidationError(f"{several.many} records of {len(several.answers)} answers")
        return several
    return answers_of_one(_ANSWER.decode(payload))


def answers_of_one(one: LoggedAnswer | Prediction) -> LoggedAnswers:
    """Return what lists show of one record."""
    return LoggedAnswers(
        many=1,
        first=one.id,
        line=one.line,
        model=one.model,
        arm=one.arm,
        at=one.at,
        keys=[one.key],
        answers=[one.answer],
        via=one.via,
    )


def without(payload: bytes, ids: Collection[str]) -> bytes | None:
    """Return a payload of the same length in which nothing is left of the records with these ids; `None` where it has none of them."""
    if not is_many(payload):
        if is_forgotten(payload) or _ONE.decode(payload).id not in ids:
            return None
        return b" " * len(payload)
    told = _SEVERAL.decode(payload)
    places = {place for place, one in enumerate(ids_from(told.first, told.many)) if one in ids}
    if all(told.answers[place] is None for place in places):
        return None
    texts = [
        b"null" if place in places else bytes(text) for place, text in enumerate(row_texts(told.request))
    ]
    changed = msgspec.structs.replace(
        told,
        keys=told.keys and [None if place in places else key for place, key in enumerate(told.keys)],
        request=msgspec.Raw(b'{"rows":[' + b",".join(texts) + b"]}"),
        answers=[None if place in places else answer for place, answer in enumerate(told.answers)],
    )
    return payload_of(changed).ljust(len(payload))
