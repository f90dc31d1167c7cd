"""What decisions are worth: amounts of a line file as numbers for each row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError
from linewright.model.facts import VALUE, Value
from linewright.model.spec import ValueSpec

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
WORDS = ("true_positive", "false_positive", "false_negative", "true_negative")


@dataclass(frozen=True, kw_only=True, eq=False)
class Amounts:
    """What each decision would be worth on each row; float64 arrays, shape (n,)."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats

    @property
    def gain(self) -> Floats:
        """What an alarm adds to leaving a positive row alone."""
        return self.true_positive - self.false_negative

    @property
    def cost(self) -> Floats:
        """What an alarm takes from a negative row, at least 0: where it is welcome there too, it costs nothing."""
        return np.maximum(self.true_negative - self.false_positive, 0.0)

    def worth(self, decided: Codes) -> Floats:
        """Return what decisions are worth by what the truth is, shape (n, 2): of a negative row, and of a positive one.

        Examples
        --------
        >>> amounts = amounts_of(Value(currency="EUR", true_positive=9.0, false_positive=-1.0, false_negative=-9.0,
        ...     true_negative=0.0), 2, {}.__getitem__)
        >>> amounts.worth(np.array([1, 0])).tolist()
        [[-1.0, 9.0], [0.0, -9.0]]
        """
        alarm = decided == 1
        return np.column_stack(
            [
                np.where(alarm, self.false_positive, self.true_negative),
                np.where(alarm, self.true_positive, self.false_negative),
            ]
        )

    def best_constant(self, share: float, weight: Floats) -> Codes:
        """Return what is best decided of all rows alike where a share of them is positive: an alarm for each, or for none."""
        added = float(weight @ (share * self.gain - (1 - share) * self.cost))
        return np.full(len(weight), int(added > 0), dtype=np.int64)


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
    return amount if np.isfinite(amount) and amount >= 0 else None


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


def amounts_of(value: Value, n: int, read: Callable[[str], Floats]) -> Amounts:
    """Return the amounts of `n` rows.

    Parameters
    ----------
    value
        As declared.
    n
        How many rows there are.
    read
        Returns a column of them as numbers of at least 0, float64, shape (n,).
    """

    def each(amount: float | str) -> Floats:
        named = column_of(amount)
        if named is None:
            return np.full(n, float(amount))
        name, sign = named
        return sign * read(name)

    return Amounts(**{word: each(getattr(value, word)) for word in WORDS})


def require_stakes(amounts: Amounts, value: Value) -> None:
    """Require that finding a positive is worth more than missing it: of some row, and of none less.

    Raises
    ------
    SpecError
        If no alarm could ever pay. The checks of a line file ask here too, so that nobody waits for a training to hear of it.
    """
    if len(amounts.gain) and bool((amounts.gain >= 0).all()) and bool((amounts.gain > 0).any()):
        return
    shown = {
        word: amount if isinstance(amount, str) else f"{amount:g}"
        for word, amount in ((word, getattr(value, word)) for word in ("true_positive", "false_negative"))
    }
    raise SpecError(
        "finding a positive is worth no more than missing it, so no alarm could ever pay",
        where=VALUE,
        found=", ".join(f"{word} {amount}" for word, amount in shown.items()),
        allowed="true_positive above false_negative",
        hint="correct the amounts, or `label.positive`; or leave `value` out",
    )
