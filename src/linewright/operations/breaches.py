"""What did not hold in a contract: what weighs most, and what a person can do about it."""

from collections.abc import Iterator, Sequence

from linewright.data.breach_text import BreachInWords
from linewright.errors import LinewrightError


def by_weight(breaches: Sequence[BreachInWords]) -> list[BreachInWords]:
    """Return breaches with those that stop a run first, then those that keep rows out, then warnings."""
    return sorted(breaches, key=lambda one: ("stop", "quarantine", "warn").index(one.action))


def what_to_do(
    line: str, breaches: Sequence[BreachInWords], error: LinewrightError | None = None
) -> tuple[str, ...]:
    """Return what a person can do about breaches, a sentence each.

    Parameters
    ----------
    error
        What stops a run, where something does; it has been said, so that only its way out is.
    """
    return tuple(dict.fromkeys(_steps(line, by_weight(breaches), error)))


def _steps(line: str, breaches: Sequence[BreachInWords], error: LinewrightError | None) -> Iterator[str]:
    if error is not None:
        yield error.hint or "mend the source, or the rule in contract"
    if any(one.action == "quarantine" for one in breaches):
        yield (
            "mend the rows of 'quarantine' in the source, or their rule in contract.columns; once a run has set them "
            f"aside, linewright datasets {line} --quarantine shows each"
        )
    for one in breaches:
        if one.says and (error is None or one.says not in error.what):
            yield f"{one.says}: {one.hint}" if one.hint else one.says
    new = [one.column for one in breaches if one.kind == "not-named"]
    if new:
        yield f"name {', '.join(new)} in contract.columns to use it, or say on_new_column: ignore"
