"""What an explanation says in words: where a model is weak, and why its answers cannot be explained."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from linewright.errors import RequestError
from linewright.model.facts import (
    Condition,
    Explanation,
    IsLevel,
    IsMissing,
    IsValue,
    IsWithin,
    NotExplained,
    Scale,
    WeakSlice,
)
from linewright.store.values import to_builtins
from linewright.text.numbers import as_declared
from linewright.text.times import say_time
from linewright.text.years import say_year

NOT_EXPLAINED: Mapping[NotExplained, str] = {
    "adds-no-scores": "the estimator of the line does not add up scores, so that no column has a part of them",
    "lists-items": "a list of items comes of a history alone, and its scores have parts by item of the history",
    "says-steps": "a forecast comes from the recent values alone, and no column has a part of its steps",
    "imported": "an imported model does not say how its training rows are distributed, which an explanation needs",
}
_ALLOWED: Mapping[NotExplained, str] = {
    "adds-no-scores": "boosted trees, or a model of the built-in engine",
    "lists-items": "rows of the endpoint, of `try` and of `replay`",
    "says-steps": "a model that answers a class or a number",
    "imported": "a model that a line has trained",
}
_HINTS: Mapping[NotExplained, str] = {
    "adds-no-scores": "ask without `explain`; or let `train.python` return an estimator of LightGBM or XGBoost, or take it out, and the "
    "built-in engine trains what is explained",
    "lists-items": "ask without `explain`, or ask the endpoint, which says what each item of the history added to each of a list",
    "says-steps": "ask without `explain`",
    "imported": "ask without `explain`; or let the line train a challenger (linewright retrain {line}): an estimator of LightGBM or "
    "XGBoost, and whatever the built-in engine trains, is explained",
}


def cannot_be_explained(reason: NotExplained, *, model: str, line: str = "LINE") -> RequestError:
    """Return the error of a model whose answers cannot be explained; `reason` is in its details."""
    return RequestError(
        NOT_EXPLAINED[reason],
        where="explain",
        found=model,
        allowed=_ALLOWED[reason],
        hint=_HINTS[reason].format(line=line),
        details={"not_explained": reason},
    )


def condition_in_words(condition: Condition) -> str:
    """Say what holds for the rows of a slice.

    Examples
    --------
    >>> condition_in_words(IsLevel(column="shop", level="c"))
    'shop = c'
    >>> condition_in_words(IsWithin(column="price", above=1000.0, to=2000.0, scale="number"))
    '1,000 < price <= 2,000'
    >>> condition_in_words(IsWithin(column="sold", above=2009.0, to=None, scale="year"))
    'sold > 2009'
    """
    name = condition.column
    match condition:
        case IsLevel():
            return f"{name} = {condition.level}"
        case IsValue():
            return f"{name} = {_said(condition.value, condition.scale)}"
        case IsWithin(above=above, to=to, scale=scale):
            return _range(name, *(None if each is None else _said(each, scale) for each in (above, to)))
        case IsMissing():
            return f"{name} has no value"
        case _:
            assert_never(condition)


def where_in_words(conditions: Sequence[Condition]) -> list[str]:
    """Say each condition."""
    return [condition_in_words(one) for one in conditions]


def explanation_in_words(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values, with the conditions of each slice as texts (`where`), and why answers are not explained."""
    told: dict[str, Any] = to_builtins(found)
    told["unexplained"] = NOT_EXPLAINED[found.not_explained] if found.not_explained else ""
    told["slices"] = _slices_in_words(found.slices)
    if found.missed:
        told["missed"]["slices"] = _slices_in_words(found.missed.slices)
    return told


def _slices_in_words(slices: Sequence[WeakSlice]) -> list[dict[str, Any]]:
    return [to_builtins(one) | {"where": where_in_words(one.conditions)} for one in slices]


def _range(name: str, low: str | None, high: str | None) -> str:
    if high is None:
        return name if low is None else f"{name} > {low}"
    return f"{name} <= {high}" if low is None else f"{low} < {name} <= {high}"


def _said(value: float, scale: Scale) -> str:
    match scale:
        case "number":
            return as_declared(value)
        case "time":
            return say_time(value)
        case "year":
            return say_year(value)
