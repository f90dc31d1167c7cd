"""What operations about the record gave: a key, and entries."""

from linewright.capabilities.audit.export import Entry
from linewright.capabilities.audit.operations import Entries, FoundEntries, KeyMade
from linewright.capabilities.audit.verify_chain import Followed
from linewright.features.facts import FeatureAudit
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import grid
from linewright.line.problem import problem_in_words
from linewright.operations.declare import to_json
from linewright.store.clock import said
from linewright.text.numbers import count


@renderer.register
def key_text(made: KeyMade) -> str:
    """Name its file, and the public key."""
    return f"The private key is in {made.file}.\nThe public key, to keep elsewhere: {made.public_key}"


@renderer.register
def entry_text(entry: Entry) -> str:
    """Say it as one line of JSON."""
    return to_json(entry).decode()


@renderer.register
def entries_text(page: Entries) -> str:
    """Say each as one line of JSON."""
    return "\n".join(map(entry_text, page.entries))


@renderer.register
def found_text(page: FoundEntries) -> str:
    """Show them as a table."""
    if not page.found:
        return "No entry is so"
    rows = [[str(one.number), said(one.at), one.actor, one.kind, one.line] for one in page.found]
    more = [] if page.next is None else [f"older ones: --before {page.next}"]
    return "\n".join([*grid(("entry", "at", "who", "what", "line"), rows, numbers=(0,)), *more])


@renderer.register
def features_text(audited: FeatureAudit) -> str:
    """Say how many rows differ, and show the first values that do."""
    of_files = (
        f"\n{count(audited.of_files, 'logged row')} came of files, and {'was' if audited.of_files == 1 else 'were'} not audited: "
        "the log does not have what was known then."
        if audited.of_files
        else ""
    )
    if not audited.rows:
        return f"No logged row of a request for {audited.line} got columns of feature views.{of_files}"
    whole = f"{count(audited.rows, 'logged row')}, {count(audited.values, 'value')}"
    behind = (
        f" {audited.behind:,} rows are behind: more was known than the records had." if audited.behind else ""
    )
    if not audited.differ:
        return f"{whole}: all are what the sources say.{behind}{of_files}"
    rows = [
        [one.id, said(one.at), one.view, one.column, repr(one.logged), repr(one.computed)]
        for one in audited.first
    ]
    head = ("prediction", "at", "view", "column", "logged", "computed")
    return "\n".join([f"{whole}: {audited.differ:,} rows differ.{behind}{of_files}", *grid(head, rows)])


@renderer.register
def followed_text(found: Followed) -> str:
    """Say how many entries are right, and the first that is not."""
    said = [f"{count(found.entries, 'event')} from the first one on as recorded; the last is {found.head}"]
    if found.contains is not None:
        said.append(
            f"The head that was kept was the last after {count(found.contains, 'event')}, and all before it is as it was."
        )
    if found.checkpoints is not None:
        newer = found.entries - (found.proved or 0)
        said.append(
            f"{count(found.checkpoints, 'signed checkpoint')}; proved: the first {count(found.proved or 0, 'event')}"
            + (f". Not proved, since newer than the last of them: {count(newer, 'event')}" if newer else "")
        )
    return "\n".join([*said, *map(problem_in_words, found.problems)])
