"""Why a plan has its steps, in sentences for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import msgspec

from linewright.data.breach_text import gone_in_words
from linewright.line.facts import AfterStep, Change, InputsMoved, MovedInput, Plan, StepDue
from linewright.text.numbers import count, listed

_MOST_NAMED = 5
FORM = "form"
"""Among the options of a moved input that is a feature view: what it computes is another."""
_DUE: Mapping[str, str] = {
    "never-done": "it was never done for this line",
    "was-part": "it was part of another step before",
    "rows-lost": "rows of it were lost",
    "older-form": "its last result is of an older Linewright",
    "gates-decide": "what the gates say decides about promotion",
    "no-number": "the candidate has no number yet",
    "passed": "its certificate says promote",
    "untold": "no run has written down yet what the gates say of this model; nothing else is left to do",
    "told-otherwise": "what the gates say of this model was found before, and the last run ended with something else: that it holds now is "
    "written down, and nothing is computed anew",
}


class ChangeInWords(Change, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One step that a run would take, with its reason as a sentence too."""

    because: str


def changes_in_words(changes: Sequence[Change]) -> tuple[ChangeInWords, ...]:
    """Return steps with their reasons as sentences."""
    return tuple(
        ChangeInWords(**msgspec.structs.asdict(one), because=change_in_words(one)) for one in changes
    )


def change_in_words(change: Change) -> str:
    """Say why a step would be taken.

    Examples
    --------
    >>> moved = InputsMoved(inputs=(MovedInput(name="source:claims", options=("missing",)),), came=("age",))
    >>> change_in_words(Change(step="ingest", reason=moved, from_=None, to=None))
    "'missing' of source 'claims' changed; column 'age' is new"
    """
    match change.reason:
        case InputsMoved():
            return "; ".join(_moved(change.reason))
        case AfterStep(step=step):
            return f"{step} may give it something new"
        case StepDue(why=why):
            return _DUE[why]
        case _:
            assert_never(change.reason)


def plan_in_words(plan: Plan) -> str:
    """Say why a run has something to do: its first step, and how many come after it."""
    first, *others = plan.changes
    after = f", and {count(len(others), 'step')} after it" if others else ""
    return f"{first.step}: {change_in_words(first)}{after}"


def _moved(reason: InputsMoved) -> Iterator[str]:
    yield f"{', '.join(map(_input, reason.inputs))} changed"
    if any(FORM in one.options and one.name.startswith("view:") for one in reason.inputs):
        yield "a model that serves goes on with the form that it has learned, until a newer one does"
    if before := reason.before:
        yield from (gone_in_words(name, dataset=before.dataset, at=before.at) for name in reason.gone)
    yield from (f"column {name!r} is new" for name in reason.came)
    for names, says in (
        (reason.may_lack, "may lack values now"),
        (reason.lack_none, "may lack no values now"),
    ):
        if names:
            what = "columns" if len(names) > 1 else "column"
            yield (
                f"{what} {listed([repr(name) for name in names], _MOST_NAMED)} {says}, which makes another dataset: the model is trained "
                "anew"
            )


def _input(moved: MovedInput) -> str:
    name = _called(moved.name)
    if moved.name.startswith("view:"):  # what the form means is said behind it
        return name
    return f"{' and '.join(map(repr, moved.options))} of {name}" if moved.options else name


def _called(part: str) -> str:
    """Return what an input is called in a sentence."""
    if part == "rows known by":
        return "the moment whose labels count"
    if part == "shift since":
        return "the beginning of the shift"
    if part.startswith("view:"):
        return f"feature view {part.removeprefix('view:')!r}"
    if part.startswith("sent:"):
        return f"what was sent to feature view {part.removeprefix('sent:')!r}"
    return f"source {part.removeprefix('source:')!r}" if part.startswith("source:") else f"the {part}"
