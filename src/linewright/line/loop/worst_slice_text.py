"""The words about the worst slice of an alert, for commands and pages."""

from typing import TYPE_CHECKING

from linewright.text.numbers import in_words

if TYPE_CHECKING:
    from linewright.line.loop.worst_slice import WorstSlice


def worst_slice_in_words(found: "WorstSlice") -> str:
    """Say where what an alert found is worst, and how much worse, in one sentence."""
    if found.measure is None:
        return "This monitor looks at no rows, so that no slice of them can be worse."
    worst = found.worst
    if worst is None:
        return (
            f"No slice has {2 * found.fewest} rows both before and now, of {found.then:,} and {found.now:,}: "
            "too few to tell which is worst."
        )
    what = (
        f"the PSI of {found.column or 'the answers'} is"
        if found.measure == "psi"
        else f"the {found.loss} rose by"
    )
    within, rest = (
        f"{in_words(one.value)} ({in_words(one.low)} to {in_words(one.high)})"
        for one in (worst.within, worst.elsewhere)
    )
    where = " and ".join(worst.where)
    sure = "" if worst.more.low > 0 else ", which is not significantly less"
    return f"Where {where}, {what} {within}; elsewhere {rest}{sure}."
