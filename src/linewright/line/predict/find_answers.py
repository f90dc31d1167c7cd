"""Search of the prediction log by answer, day, probability and model."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from linewright.errors import RequestError
from linewright.serve.facts import LoggedAnswer, LoggedAnswers
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.ids import ids_from
from linewright.serve.log.records import answers_of_one

MOST_LOOKED_AT = 100_000
"""Answers that are looked at for one list: it takes about a second."""
MOST_OF_KEY = 5_000
"""The same, of those about one key."""
Order = Literal["newest", "probable"]


class Wanted(NamedTuple):
    """Which answers are looked for."""

    key: str | None = None
    model: int | None = None
    """Version of the model that gave them."""
    answer: str | None = None
    """The class, or the number as it is written."""
    since: str = ""
    """First day, an ISO 8601 date, UTC; empty: no bound."""
    until: str = ""
    """Last day."""
    least: float = 0.0
    """Least and most probability of the class that is looked for, see `probability_of`."""
    most: float = 1.0

    @property
    def is_any(self) -> bool:
        """Whether any answer is wanted, so that the last of them need no search."""
        return self == Wanted()

    def takes(self, answer: Mapping[str, Any]) -> bool:
        """Whether an answer is of the class, and as probable."""
        if self.answer is not None and str(answer.get("prediction")) != self.answer:
            return False
        if (self.least, self.most) == (0.0, 1.0):
            return True
        probability = probability_of(answer)
        return probability is not None and self.least <= probability <= self.most


class Found(NamedTuple):
    """A page of the answers that were found, and how far was looked."""

    answers: list[LoggedAnswer]
    found: int
    """How many there are among those that were looked at."""
    looked_at: int
    back_to: str | None
    """When the oldest of them was given; `None` if nothing was looked at."""
    is_whole: bool
    """Whether all of the days that are wanted were looked at."""
    goes_on: bool
    """Whether more were found than this page and those before it hold."""


def positive_of(answer: Mapping[str, Any]) -> str | None:
    """Return the class that a binary model looks for; `None` of an answer of another task.

    Examples
    --------
    >>> positive_of({"prediction": "no", "probabilities": {"no": 0.9, "yes": 0.1}, "threshold": 0.3})
    'yes'
    """
    return (
        next(reversed(answer["probabilities"]))
        if "threshold" in answer and "probabilities" in answer
        else None
    )


def probability_of(answer: Mapping[str, Any]) -> float | None:
    """Return the probability of the class that a binary model looks for, else of the predicted one; of an anomaly its score; `None` of numbers.

    Examples
    --------
    >>> probability_of({"prediction": "no", "probabilities": {"no": 0.9, "yes": 0.1}, "threshold": 0.3})
    0.1
    >>> probability_of({"prediction": "b", "probabilities": {"a": 0.2, "b": 0.5, "c": 0.3}})
    0.5
    >>> probability_of({"prediction": 3.5}) is None
    True
    """
    shares = answer.get("probabilities")
    if not shares:
        return answer.get("score")
    return shares.get(positive_of(answer) or answer.get("prediction"))


def wanted_of(
    *, key: str | None, model: int | None, answer: str | None, between: str | None, probability: str | None
) -> Wanted:
    """Return what is looked for, from its texts.

    Examples
    --------
    >>> wanted_of(key=None, model=None, answer="yes", between="2026-01-01/", probability="0.8/")
    Wanted(key=None, model=None, answer='yes', since='2026-01-01', until='', least=0.8, most=1.0)
    """
    since, until = _ends(between, "between", "FROM/TO, two days such as 2026-01-01/2026-01-31")
    least, most = _ends(probability, "probability", "LEAST/MOST, such as 0.5/0.9")
    return Wanted(
        key=key,
        model=model,
        answer=answer or None,
        since=_day(since),
        until=_day(until),
        least=_share(least) if least else 0.0,
        most=_share(most) if most else 1.0,
    )


def _ends(text: str | None, name: str, allowed: str) -> tuple[str, str]:
    if not text:
        return "", ""
    low, slash, high = text.partition("/")
    if not slash:
        raise RequestError("not two ends", where=name, found=text[:80], allowed=allowed)
    return low.strip(), high.strip()


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise RequestError(
            "not a day", where="between", found=text[:40], allowed="an ISO 8601 date, e.g. 2026-01-31"
        ) from None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise RequestError(
            "not a probability", where="probability", found=text[:40], allowed="a number from 0 to 1"
        )
    return share


def find_answers(
    feedback: Feedback, wanted: Wanted, *, before: str | None, limit: int, order: Order = "newest"
) -> Found:
    """Return answers among those that were given last, at most `MOST_LOOKED_AT` of the days that are wanted."""
    looked_at, back_to, is_whole = 0, None, True
    most = MOST_LOOKED_AT if wanted.key is None else MOST_OF_KEY
    matching = list[tuple[LoggedAnswer, float]]()
    for frame in _frames(feedback, wanted):
        if looked_at >= most:
            is_whole = False
            break
        if frame.at[:10] < wanted.since:
            break
        if wanted.until and frame.at[:10] > wanted.until:
            continue
        looked_at, back_to = looked_at + frame.many, frame.at
        if wanted.model is None or frame.model == wanted.model:
            matching += _matching(frame, wanted)
    if order == "probable":
        matching.sort(key=lambda one: (-one[1], -int(one[0].id.replace("-", ""), 16)))
    else:
        matching.sort(key=lambda one: one[0].id, reverse=True)
    start = 0
    if before is not None:
        start = next(
            (place + 1 for place, (one, _) in enumerate(matching) if one.id == before), len(matching)
        )
    shown = [one for one, _ in matching[start : start + limit]]
    return Found(shown, len(matching), looked_at, back_to, is_whole, start + limit < len(matching))


def _matching(frame: LoggedAnswers, wanted: Wanted) -> Iterator[tuple[LoggedAnswer, float]]:
    ids: list[str] = []
    for place, answer in enumerate(frame.answers):
        if answer is None or not wanted.takes(answer):
            continue
        ids = ids or ids_from(frame.first, frame.many)
        yield (
            LoggedAnswer(
                id=ids[place],
                line=frame.line,
                model=frame.model,
                arm=frame.arm,
                at=frame.at,
                key=frame.keys[place] if frame.keys else None,
                answer=answer,
                via=frame.via,
            ),
            probability_of(answer) or 0.0,
        )


def _frames(feedback: Feedback, wanted: Wanted) -> Iterator[LoggedAnswers]:
    """Give the answers of the days that are wanted and older ones, the newest first; also some that are newer."""
    if wanted.key is not None:
        for record, _ in feedback.latest(MOST_OF_KEY + 1, key=wanted.key):
            yield answers_of_one(record)
        return
    end = None
    if wanted.until and wanted.until < date.max.isoformat():
        after = date.fromisoformat(wanted.until) + timedelta(days=1)
        end = feedback.first_since(f"{after.isoformat()}T00:00:00.000000Z")
    yield from feedback.answers(before=end)
