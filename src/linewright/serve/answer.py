"""What a line answers to a request: rows or tensors in, logged answers out."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from linewright.errors import RequestError
from linewright.model.facts import Package
from linewright.release.facts import Arm
from linewright.serve import oip
from linewright.serve.facts import Prediction
from linewright.serve.feedback import Feedback
from linewright.serve.log import PredictionLog
from linewright.serve.request import Response, read_json, to_response
from linewright.serve.rows import Place, in_rows
from linewright.serve.scoring import Scorer
from linewright.serve.values import spell
from linewright.store.clock import now_utc, uuid7

ASK_FORM = '{"rows": [{"COLUMN": VALUE, ...}]}'
LABELS_FORM = '{"labels": [{"id": "ID of the answer", "label": VALUE}]}'


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for predictions."""

    rows: list[dict[str, Any]]
    explain: bool = False
    durable: bool = False
    """Whether the answer has to wait until its record survives power loss."""


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that brings labels."""

    labels: list[dict[str, Any]]


class Loaded(NamedTuple):
    """What answers for a line, taken once for a whole request."""

    line: str
    generation: int
    arm: Arm
    scorer: Scorer
    now: Callable[[], str] = now_utc

    @property
    def package(self) -> Package:
        """The package that answers."""
        return self.scorer.model.package


class Answered(NamedTuple):
    """Rows that were answered and logged."""

    ids: list[str]
    keys: list[str | None]
    answers: list[dict[str, Any]]
    warnings: dict[int, list[str]]
    """By row; rows that raise no doubt are left out."""


def answer(
    loaded: Loaded, log: PredictionLog, rows: list[dict[str, Any]], place: Place, *, durable: bool = False
) -> Answered:
    """Answer rows; when it returns the answers are in the log, on the disk where they are wanted `durable`.

    Raises
    ------
    RequestError
        If a row does not fit.
    Transient
        If the log cannot be written.
    """
    received, package = loaded.now(), loaded.package
    x = loaded.scorer.encode(loaded.scorer.read(rows, place=place))
    answers = loaded.scorer.answers(x)
    ids = [uuid7() for _ in rows]
    keys = [spell(row.get(package.key)) if package.key else None for row in rows]
    log.append(
        [
            Prediction(
                id=identity,
                line=loaded.line,
                generation=loaded.generation,
                model=loaded.arm.model,
                digest=loaded.arm.package,
                at=received,
                key=key,
                row=row,
                answer=said,
                threshold=package.threshold,
                durability=_durability(durable),
            )
            for identity, key, row, said in zip(ids, keys, rows, answers, strict=True)
        ],
        durable=durable,
    )
    return Answered(ids, keys, answers, loaded.scorer.warnings(x, rows))


def _durability(durable: bool) -> Literal["buffered", "durable"]:
    return "durable" if durable else "buffered"


def read_ask(body: bytes) -> Ask:
    """Return a request for predictions.

    Raises
    ------
    RequestError
        If it has another form, or asks for explanations.
    """
    ask = read_json(body, Ask, form=ASK_FORM)
    if ask.explain:
        raise RequestError("explanations are not available yet", where="explain", found=True, allowed="false")
    return ask


def predict(loaded: Loaded, log: PredictionLog, ask: Ask) -> Response:
    """Answer rows."""
    answered = answer(loaded, log, ask.rows, in_rows, durable=ask.durable)
    predictions = [
        {"id": identity, **({} if key is None else {"key": key}), **said}
        for identity, key, said in zip(answered.ids, answered.keys, answered.answers, strict=True)
    ]
    for row, texts in answered.warnings.items():
        predictions[row]["warnings"] = texts
    return to_response(
        {
            "model": f"{loaded.line}@{loaded.arm.model}",
            "digest": loaded.arm.package,
            "durability": _durability(ask.durable),
            "predictions": predictions,
        }
    )


def infer(loaded: Loaded, log: PredictionLog, asked: oip.Asked) -> Response:
    """Answer tensors."""
    oip.check_outputs(asked.infer, loaded.package)
    answered = answer(loaded, log, asked.rows, asked.place, durable=asked.durable)
    return oip.to_response(
        asked.infer,
        oip.to_answer(
            asked.infer,
            line=loaded.line,
            version=loaded.arm.model,
            digest=loaded.arm.package,
            package=loaded.package,
            ids=answered.ids,
            answers=answered.answers,
            durability=_durability(asked.durable),
        ),
    )


def accept(feedback: Feedback, body: bytes, package: Package, idempotency_key: str | None) -> Response:
    """Keep labels."""
    labels = read_json(body, Labels, form=LABELS_FORM).labels
    return to_response(feedback.accept(labels, package=package, idempotency_key=idempotency_key))
