"""Whether the serving files, which endpoints follow, say what the record says."""

import time
from collections.abc import Iterator

import msgspec

from linewright.errors import Corrupt, Transient
from linewright.line.factory import Factory
from linewright.line.holding import Check, Holding, References
from linewright.line.problem import OLDER, PUT_BACK, Problem
from linewright.release.facts import Serving
from linewright.release.halt_file import is_pending, may_answer
from linewright.release.promotion import recorded
from linewright.store.files.names import line_path
from linewright.store.values import decoder

_NOT_COMPARED = frozenset({"known", "version"})
"""Fields that other versions of Linewright wrote otherwise, and that no answer depends on."""
_MOVES_S = 0.5
"""Between the move of a line and the file that endpoints follow there is much less."""


class ServingFiles(Holding):
    """Which model answers for a line and whether it may: `LINE.json`, `LINE.go`."""

    name = "serving files"
    files = ("serving/*",)

    def verify(self, check: Check) -> None:
        """Compare the file of each line with the record."""
        factory = check.factory
        for line in factory.metadata.lines():
            found = check.guarded(lambda line=line: _difference(factory, line))
            if found is not None and found[1] == Transient.exit_code:
                time.sleep(_MOVES_S)  # whoever moved the line just now may be about to write the file
                found = check.guarded(lambda line=line: _difference(factory, line))
            if found is not None:
                what, code = found
                where = str(line_path(factory.serving, line, ".json"))
                after = (
                    OLDER
                    if what.endswith(PUT_BACK)
                    else "start `linewright up` (anew): it writes the file first"
                )
                check.problems.append(Problem(what=what, where=where, next=after, exit_code=code))

    def references(self, asked: References) -> Iterator[str]:
        """Give what they say."""
        for path in asked.factory.serving.glob("*.json"):
            yield path.read_text()


def _difference(factory: Factory, line: str) -> tuple[str, int] | None:
    """Say in what the serving file of a line differs from the record, with the exit code for it; `None` where they agree."""
    path = line_path(factory.serving, line, ".json")
    try:
        # Before the record: the file follows it, so what it is ahead of it was not written by us.
        file = path.read_bytes() if path.is_file() else None
        found = None if file is None else decoder(Serving).decode(file)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return f"what endpoints are told cannot be read: {error}", Corrupt.exit_code
    said = recorded(factory.metadata, line)
    if found is None:
        return (
            ("endpoints are told nothing, and the record says otherwise", Transient.exit_code)
            if said.generation
            else None
        )
    if found.generation > said.generation:
        what = f"endpoints are told generation {found.generation}, and the record ends at {said.generation}{PUT_BACK}"
        return what, Corrupt.exit_code
    if found.generation < said.generation:
        what = f"endpoints are told generation {found.generation}, and the record says {said.generation}"
        return what, Transient.exit_code
    # A file of before there was a `LINE.go` does not know the word; one that denies it would make a stop ineffective.
    passed_over = _NOT_COMPARED if b'"go"' in (file or b"") else {*_NOT_COMPARED, "go"}
    others = [
        name
        for name in Serving.__struct_fields__
        if name not in passed_over and getattr(found, name) != getattr(said, name)
    ]
    if found.go and may_answer(factory.serving, line) == said.halt and not is_pending(factory.serving, line):
        what = (
            "may answer, and the record says that it is halted"
            if said.halt
            else "may not answer, and the record says that it is not halted"
        )
        return f"the line {what}", Transient.exit_code
    if others:
        return (
            f"endpoints are told something else than the record says: {', '.join(others)}",
            Corrupt.exit_code,
        )
    return None
