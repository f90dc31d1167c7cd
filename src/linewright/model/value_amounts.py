"""The amounts that a line file says of decisions, as numbers or as columns that have them."""

import math
from collections.abc import Callable, Mapping

from linewright.errors import SpecError
from linewright.model.facts import VALUE, Value
from linewright.model.spec import ValueSpec

WORDS = ("true_positive", "false_positive", "false_negative", "true_negative")


def value_of(spec: ValueSpec | None) -> Value | None:
    """Return the section as a fact; `None` where the line has none."""
    return None if spec is None else Value(**spec.model_dump(exclude={"against"}))


def column_of(amount: float | str) -> tuple[str, int] | None:
    """Return the column that an amount names and its sign; `None` where the amount is a number.

    Examples
    --------
    >>> column_of("amount"), column_of("-amount"), column_of(-40.0)
    (('amount', 1), ('amount', -1), None)
    """
    if not isinstance(amount, str):
        return None
    return (amount[1:].strip(), -1) if amount.startswith("-") else (amount, 1)


def amount_at(amount: float | str, row: Callable[[str], object]) -> float | None:
    """Return what an amount of a matrix is on one row; `None` where the row has none of at least 0 in the column that it names.

    Examples
    --------
    >>> amount_at("-amount", {"amount": "12.5"}.get), amount_at(-40.0, {}.get), amount_at("amount", {"amount": -1}.get)
    (-12.5, -40.0, None)
    """
    named = column_of(amount)
    if named is None:
        return float(amount)
    name, sign = named
    sent = as_amount(row(name))
    return None if sent is None else sign * sent


def as_amount(sent: object) -> float | None:
    """Return an amount as it was sent; `None` where there is none of at least 0.

    Examples
    --------
    >>> as_amount("3"), as_amount(-3), as_amount(None), as_amount(True)
    (3.0, None, None, None)
    """
    try:
        amount = float(str(sent))
    except ValueError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None


def columns_of(value: Value) -> Mapping[str, str]:
    """Return the columns that amounts name, each with the first word that names it."""
    found: dict[str, str] = {}
    for word in WORDS:
        if named := column_of(getattr(value, word)):
            found.setdefault(named[0], word)
    return found


def amounts_in_words(value: Value) -> str:
    """Say by which amounts decisions are taken.

    Examples
    --------
    >>> amounts_in_words(Value(currency="EUR", true_positive="amount", false_positive=-40.0, false_negative=0.0, true_negative=0.0))
    'by true_positive amount, false_positive -40, false_negative 0, true_negative 0 (EUR)'
    """
    amounts = ((word, getattr(value, word)) for word in WORDS)
    shown = (f"{word} {amount if isinstance(amount, str) else f'{amount:g}'}" for word, amount in amounts)
    return f"by {', '.join(shown)} ({value.currency})"


def no_stakes(value: Value) -> SpecError:
    """Return the error about amounts by which finding a positive is worth no more than missing it."""
    shown = {
        word: amount if isinstance(amount, str) else f"{amount:g}"
        for word, amount in ((word, getattr(value, word)) for word in ("true_positive", "false_negative"))
    }
    return SpecError(
        "finding a positive is worth no more than missing it, so no alarm could ever pay",
        where=VALUE,
        found=", ".join(f"{word} {amount}" for word, amount in shown.items()),
        allowed="true_positive above false_negative",
        hint="correct the amounts, or `label.positive`; or leave `value` out",
    )
