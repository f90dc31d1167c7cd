"""What may be wrong with a factory, as a value."""

from collections.abc import Callable
from typing import Any

import msgspec

from linewright.errors import Corrupt, LinewrightError
from linewright.store.files.disk import faults_explained
from linewright.text.numbers import count

AGAIN = "restore it from a backup (linewright restore FILE --factory NEW-FOLDER)"
OLDER = "find out who put an older copy of the record in its place, and put the newest back"
PUT_BACK = ": an older record was put back"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, and what mends it."""

    what: str
    """One sentence: what is wrong."""
    where: str
    """The file, line, entry or result that it is about."""
    next: str
    """What to do; a command where there is one."""
    exit_code: int = Corrupt.exit_code
    """That of the error which the problem would be, see `errors.py`."""


def problem_in_words(problem: Problem) -> str:
    """Say it in two lines."""
    return f"{problem.where}: {problem.what}\n  Next: {problem.next}"


def problem_of(error: LinewrightError, *, where: str = "", next: str = "") -> Problem:  # noqa: A002 -- the field's name
    """Return an error as a problem, with another place or remedy where one is given."""
    return Problem(
        what=error.what if error.found is None else f"{error.what}: found {error.found!r}",
        where=where or error.where,
        next=next or error.hint or "linewright doctor",
        exit_code=error.exit_code,
    )


def worst(problems: tuple[Problem, ...]) -> int:
    """Return the exit code of the worst problem; 0 where there is none."""
    return max((problem.exit_code for problem in problems), default=0)


def how_many(problems: tuple[Problem, ...]) -> str:
    """Say how many problems there are."""
    return count(len(problems), "problem") if problems else "all is well"


def in_bytes(number: int) -> str:
    """Return a number of bytes as people say it.

    Examples
    --------
    >>> in_bytes(512), in_bytes(1_500), in_bytes(2_340_000), in_bytes(5_000_000_000)
    ('512 bytes', '1.5 kB', '2.3 MB', '5.0 GB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return count(number, "byte")


def guarded(problems: list[Problem], check: Callable[[], Any]) -> Any:
    """Return what a check found; one that cannot go on is a problem, and the others are made all the same."""
    try:
        with faults_explained():
            return check()
    except LinewrightError as error:
        problems.append(problem_of(error))
        return None
