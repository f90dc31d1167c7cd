"""The lists of those whom lines have forgotten: compared with the events of removals."""

from collections.abc import Iterator

from linewright.line.factory import Factory
from linewright.line.facts import Forgotten
from linewright.line.holding import Archive, Check, Holding
from linewright.line.record.chained_files import chained_file
from linewright.line.retention.forgotten import FOLDER, forgetting_lines, forgotten_of
from linewright.store.files.names import LINE
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.pushed_rows import PushedRows
from linewright.store.values import digest_of_bytes
from linewright.text.numbers import count


class ForgottenLists(Holding):
    """Keyed hashes of those whom lines have forgotten, so that their rows do not come back."""

    name = "lists of the forgotten"
    files = (f"{FOLDER}/*",)
    kept = rf"{FOLDER}/{LINE}\.json"

    def verify(self, check: Check) -> None:
        """Compare each list with the removals of its line, and note removals that were interrupted."""
        factory, removals = check.factory, check.recorded.forgotten
        for line in sorted({*removals, *forgetting_lines(factory)}):
            check.guarded(lambda line=line: _check_undone(check, line))
            wrong = check.guarded(
                lambda line=line: list(_wrong_in_list(factory, line, removals.get(line, [])))
            )
            for what in wrong or ():
                check.say(what, f"list of whom {line} forgot")

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy them before what they are about: a removal that begins meanwhile is then ended in the restored factory, or not begun there."""
        for path in sorted((factory.state / FOLDER).glob("*.json")):
            archive.add(path)


def _check_undone(check: Check, line: str) -> None:
    if undone := forgotten_of(check.factory, line).undone:
        what = (
            f"what is stored about {count(len(undone), 'subject')} is being removed, or that was interrupted"
        )
        check.say(what, f"line {line}", "linewright gc")


def _wrong_in_list(factory: Factory, line: str, removals: list[Forgotten]) -> Iterator[str]:
    known, recorded = forgotten_of(factory, line), {one.subject for one in removals}
    listed = {one.hash for one in known.subjects}
    if lost := recorded - listed:
        yield f"it lacks {len(lost):,} of those who were forgotten: their rows would be read again"
    if strange := {one.hash for one in known.subjects if one.done} - recorded:
        yield f"it has {len(strange):,} whose removal the record does not tell"
    keys = {one.key for one in removals if one.key}
    if keys and keys != {digest_of_bytes(known.key.encode())}:
        yield "its key is another one than when they were forgotten: nobody is known by a hash of it"
    sources = {name for one in removals for name in one.shortened if name.startswith(f"{PUSH}/")}
    for name in sorted(sources):
        those = {one.subject for one in removals if name in one.shortened}
        rows = chained_file(factory, name)
        if isinstance(rows, PushedRows) and not rows.lists(line, those):
            yield f"{name} would keep rows of persons who were forgotten"
