"""In what a rebuilt model differs, in sentences for people."""

from collections.abc import Iterable, Mapping
from typing import Literal, assert_never

from linewright.line.facts import (
    ArithmeticDiffers,
    CodeDiffers,
    Difference,
    Differs,
    EnvironmentDiffers,
    FileToday,
    FormDiffers,
    MoreDiffer,
    NotMade,
    ValueDiffers,
)
from linewright.text.numbers import count

_MOST_FILES = 8
_TODAY: Mapping[Literal["other", "unreadable", "gone"], str] = {
    "other": "is another file today",
    "unreadable": "cannot be read any more",
    "gone": "is not there any more",
}


def differences_in_words(found: Iterable[Differs]) -> tuple[str, ...]:
    """Say each difference once."""
    return tuple(dict.fromkeys(map(differs_in_words, found)))


def difference_in_words(found: Difference) -> str:
    """Say a difference with the part that it is of.

    Examples
    --------
    >>> difference_in_words(Difference(part="model", differs=ValueDiffers(path="plan[1].rounds", was="60", now="61")))
    'model: plan[1].rounds was 60, is 61'
    """
    said = differs_in_words(found.differs)
    return f"{found.part}: {said}" if found.part else said


def differs_in_words(found: Differs) -> str:
    """Say a difference."""
    match found:
        case ValueDiffers():
            return f"{found.path} was {found.was}, is {found.now}"
        case MoreDiffer():
            return f"and {count(len(found.fields), 'other field')}: {', '.join(found.fields)}"
        case FormDiffers():
            return "it says the same, and is written in another form than the version before wrote"
        case NotMade():
            return f"it cannot be made again: {found.error['message']}"
        case EnvironmentDiffers():
            the = "the " if found.name in {"platform", "processor"} else ""
            return f"{the}{found.name} was {found.was or 'not there'}, is {found.now or 'not here'}"
        case CodeDiffers():
            left = len(found.files) - _MOST_FILES
            more = f" and {left} more" if left > 0 else ""
            return f"our code is another: {', '.join(found.files[:_MOST_FILES])}{more}"
        case ArithmeticDiffers():
            return f"arithmetic gives other bits here: {', '.join(found.of)}"
        case FileToday():
            return f"{found.path} {_TODAY[found.how]}; its recorded copy was run"
        case _:
            assert_never(found)
