"""Changes of line files that are proposed: what may be proposed, and how the file is replaced."""

from linewright.data.spec import FileSource
from linewright.errors import Conflict, RequestError
from linewright.line.factory import Factory
from linewright.line.file.edit import difference as between
from linewright.line.personal import file_without_personal
from linewright.line.proposals.preconditions import digest_of_file
from linewright.line.proposals.record import Look, all_of, propose
from linewright.line.proposals.rules import Rule, line_rule, spec_in_force
from linewright.line.spec import LineSpec
from linewright.people.facts import ChangeKind, LineChange, LineMade
from linewright.serve.files import write_whole
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.files.rights import as_asked
from linewright.store.values import digest_of_bytes

_AUTONOMY = ("release", "retrain", "changes")
"""Sections that say what a line may do by itself, and what needs people."""
_ON_THIS_MACHINE = ("notify", "changes")
"""Sections that name secrets and addresses, or who approves."""
_HOW = {"separator", "encoding", "decimal", "missing", "header", "names"}
"""Fields of a file source that say how it is read, and not what."""
_NOBODY = Rule((), 0)


def propose_file(factory: Factory, spec: LineSpec, text: str, *, because: str) -> Look:
    """Propose that a line file has another text; the file in force says who may approve it.

    Nobody needs to if the owner of the factory proposes, who may write to the file itself; nor while the line has no model, if its
    author proposes and the file reads nothing else of this machine.

    The file of sites declares several lines: who proposes needs the right on all of them, and who approves too.
    """
    line = spec.line
    factory.identity.require("plan", factory.lines_of_file(line))
    change = LineChange(
        line=line,
        before=digest_of_file(factory, line),
        after=digest_of_bytes(text.encode()),
        text=text,
    )
    if change.before == change.after:
        raise RequestError("the line file says exactly this already", where=str(factory.path_of(line)))
    before = spec_in_force(factory, line)
    kind = _kind(before, spec)
    is_own = before is not None and _is_own_draft(factory, change) and _reads_the_same(before, spec)
    return propose(
        factory,
        kind,
        change,
        _NOBODY if is_own or factory.identity.is_owner else line_rule(factory, line, kind),
        because=because,
        authors=[factory.identity.member],
    )


def _kind(before: LineSpec | None, after: LineSpec) -> ChangeKind:
    if before is None:
        return "autonomy-change"
    is_same = all(getattr(before, name) == getattr(after, name) for name in _AUTONOMY)
    return "line-change" if is_same else "autonomy-change"


def _is_own_draft(factory: Factory, change: LineChange) -> bool:
    """Return whether a line has no model, and its file is as who asks has written it."""
    line, member = change.line, factory.identity.member
    if not member or factory.metadata.versions(line):
        return False
    made = (one.file for one in factory.metadata.events(LineMade, line=line) if one.member == member)
    changed = (
        factory.metadata.get(one.change, LineChange).after
        for one in all_of(factory, line)
        if one.needed == 0 and one.authors == (member,)
    )
    return change.before in {*made, *changed}


def may_read(factory: Factory, spec: LineSpec) -> bool:
    """Return whether who asks may have the sources of a line read as a text says that nobody has approved.

    An error of a database shows values of its tables, so another query than that in force, or another feature view, is for those who may
    train the line.
    """
    before = spec_in_force(factory, spec.line)
    held = [] if before is None else [*before.sources.values()]
    has_more_views = not {*spec.features} <= {*(() if before is None else before.features)}
    is_held = all(one in held for one in spec.sources.values() if one.is_live)
    return factory.may("run", spec.line) or (is_held and not has_more_views)


def _reads_the_same(before: LineSpec, after: LineSpec) -> bool:
    """Return whether a line file names the same files, secrets and approvers as before."""

    def named(spec: LineSpec) -> object:
        sources = {
            name: one.model_dump(exclude=_HOW if type(one) is FileSource else None)
            for name, one in spec.sources.items()
        }
        train = spec.train
        files = train.model, train.python, train.pictures and train.pictures.backbone
        return sources, spec.features, files, [getattr(spec, one) for one in _ON_THIS_MACHINE]

    return named(before) == named(after)


def difference(factory: Factory, change: LineChange) -> str:
    """Return the unified diff from the file as it is to the proposed text; empty if the file is not the one that it was proposed on.

    It is empty too if who asks may not see each line of the file.
    """
    path = factory.path_of(change.line)
    if not all(factory.may("view", one) for one in factory.lines_of_file(change.line)):
        return ""
    held = path.read_bytes()
    if digest_of_bytes(held) != change.before:
        return ""
    texts = (held.decode(errors="replace"), change.text)
    before, after = (file_without_personal(factory, change.line, one) for one in texts)
    return between(before, after, change.line)


def replace_file(factory: Factory, change: LineChange) -> None:
    """Write an approved line file, whole or not at all."""
    found, path = digest_of_file(factory, change.line), factory.path_of(change.line)
    if found != change.before:
        raise Conflict(
            "the line file is another than when the change was proposed",
            where=str(path),
            found=found,
            allowed=change.before,
            hint="propose it again",
        )
    with explained(path, "the line file"):
        write_whole(path, change.text.encode())
        as_asked(path)
        sync_file(path)
        sync_folder(path.parent)
