"""What caring for a factory gave: is it well, is it whole, a copy, what was freed, who was forgotten."""

import shlex
from collections.abc import Iterator

from linewright.capabilities.care.backup import BackedUp
from linewright.capabilities.care.doctor import Examined
from linewright.capabilities.care.forget_free_text import INSTRUCTIONS
from linewright.capabilities.care.gc import Freed
from linewright.capabilities.care.operations.restore import ApprovalUsed
from linewright.capabilities.care.restore import Restored
from linewright.capabilities.care.retention import retired_in_words
from linewright.interfaces.cli.dispatch import renderer
from linewright.line.erasure import ErasureReport, OutputWithout
from linewright.line.holding import Verified
from linewright.line.problem import how_many, in_bytes, problem_in_words
from linewright.text.numbers import count


@renderer.register
def verified_text(found: Verified) -> str:
    """Say the counts, then each problem and what to do."""
    unproved = [
        *([count(found.unproved_predictions, "prediction")] if found.unproved_predictions else []),
        *([f"{count(found.unproved_labels, 'change')} of labels"] if found.unproved_labels else []),
    ]
    counts = [
        f"{count(found.blobs, 'blob')} ({in_bytes(found.bytes)})",
        count(found.results, "result"),
        *([count(found.events, "event")] if found.events else []),
        *([count(found.predictions, "prediction")] if found.predictions else []),
        *([count(found.labels, "label")] if found.labels else []),
    ]
    return "\n".join(
        [
            f"Checked {', '.join(counts)}: {how_many(found.problems)}.",
            *([f"{count(found.unfinished, 'run')} not ended yet."] if found.unfinished else []),
            *(
                [f"Not proved yet, since it is newer than the last checkpoint: {', '.join(unproved)}."]
                if unproved
                else []
            ),
            *map(problem_in_words, found.problems),
        ]
    )


@renderer.register
def backed_up_text(made: BackedUp) -> str:
    """Say what is in it, and what is not."""
    counts = (
        count(made.lines, "line"),
        count(made.blobs, "blob"),
        count(made.events, "event"),
        count(made.predictions, "prediction"),
    )
    return "\n".join(
        [
            f"{made.file}: {in_bytes(made.bytes)}; {', '.join(counts)}",
            *(f"not in it, since it is outside of the folder: {source}" for source in made.left_out),
            *map(problem_in_words, made.problems),
            f"digest: {made.digest}",
            f"Next: linewright restore {shlex.quote(made.file)} --factory NEW-FOLDER",
        ]
    )


@renderer.register
def freed_text(freed: Freed) -> str:
    """Say what went."""
    verb = "Would free" if freed.dry_run else "Freed"
    said = (
        f"{verb} {in_bytes(freed.bytes)}: {count(freed.blobs, 'blob')} that nothing needs, "
        f"{count(freed.temporary, 'temporary file')}; {count(freed.kept, 'blob')} kept."
    )
    lines = (f"  {text}" for one in freed.retired for text in retired_in_words(one).splitlines())
    head = f"{'Would be kept' if freed.dry_run else 'Kept'} no longer, by `keep`:"
    problems = map(problem_in_words, freed.problems)
    return "\n".join([said, *([head, *lines] if freed.retired else []), *problems])


@renderer.register
def examined_text(found: Examined) -> str:
    """Say what is wrong and what mends it."""
    skipped = f" Not looked at: {', '.join(found.skipped)}." if found.skipped else ""
    made = len(found.checks) - len(found.skipped)
    said = f"{count(made, 'examination')}, {how_many(found.problems)}.{skipped}"
    return "\n".join([said, *map(problem_in_words, found.problems)])


@renderer.register
def restored_text(made: Restored) -> str:
    """Say where it is and what is in it."""
    return (
        f"The factory of {made.at[:19]}Z is in {made.factory}: {in_bytes(made.bytes)}, {count(made.blobs, 'blob')}; "
        f"lines: {', '.join(made.lines) or 'none'}.\nNext: linewright verify --factory {shlex.quote(made.factory)}"
    )


@renderer.register
def used_text(used: ApprovalUsed) -> str:
    """Say which approval, and whose."""
    return (
        f"The approval {used.proposal} by {', '.join(used.approved)} is used, for the backup {used.backup}."
    )


def _of_output(one: OutputWithout, verb: str) -> str:
    if one.problem is not None:
        return f"  not reached, and tried again: {one.place}: {one.problem.what}; {one.problem.next}"
    if one.is_gone:
        return f"  answers were written to {one.place}, which is not there any more: look where they went"
    return f"  {count(one.rows, 'row')} of answers {verb} from {one.place}"


def _where_it_stays(gone: ErasureReport) -> Iterator[str]:
    for source in gone.sources:
        yield f"  stands still in {source}, which the line reads: it is passed over there, remove it yourself"
    for file in gone.files:
        yield f"  stands still in {file}, a file of yours"
    for file in gone.unsearched:
        yield f"  cannot be searched, and may have it: {file}"
    sealed = [f"{one.entries} {one.kind}" for one in gone.in_record]
    is_in_events = any(one.kind != INSTRUCTIONS for one in gone.in_record)
    explained = {".linewright/metadata.sqlite"} if is_in_events else set[str]()
    for place in sorted({*gone.left} - explained):
        yield f"  still found in {place}: what came about it meanwhile, what people wrote there, or a message on record"
    if sealed:
        yield f"  named in what cannot be changed: {', '.join(sealed)}"
    for source in gone.unread:
        yield f"  not looked at: {source}; the line only reads it"


@renderer.register
def forgot_text(gone: ErasureReport) -> str:
    """Say what went, who learned from it, and what to do."""
    verb = "would be removed" if gone.dry_run else "removed"
    labels = "their labels" if gone.labels is None else f"{count(gone.labels, 'change')} of labels"
    said = [
        f"{gone.line}: {verb}: {count(gone.predictions, 'prediction')} with {labels}, {count(gone.rows, 'row')} of "
        f"{count(len(gone.datasets), 'dataset version')}, {count(gone.quarantined, 'row')} in quarantine"
        + (f", {count(gone.sent, 'row')} that had been sent" if gone.sent else "")
        + (f", {count(gone.comments, 'comment')}" if gone.comments else "")
        if gone.is_something
        else f"{gone.line}: {'no rows are' if gone.learned or gone.tried else 'nothing is'} stored about that subject"
    ]
    if gone.learned:
        said.append(f"  learned from it: {', '.join(gone.learned)}; they cannot be rebuilt any more")
    elif gone.is_something:
        said.append("  no model has learned from it")
    if gone.serving:
        said.append(
            f"  still {'answers' if len(gone.serving) == 1 else 'answer'} with it: {', '.join(gone.serving)}"
        )
    if gone.tried:
        said.append(f"  keep test rows of it for their self-check: {', '.join(gone.tried)}")
    if gone.shared:
        said.append(f"  the same rows are read by: {', '.join(gone.shared)}")
    if gone.views:
        many = f", {count(gone.records, 'record')} {verb}" if gone.records else ""
        said.append(f"  feature views leave it out, for all lines: {', '.join(gone.views)}{many}")
    said += [_of_output(one, verb) for one in gone.outputs]
    said += _where_it_stays(gone)
    if gone.is_something:
        said.append(
            "  backups of before still have it: make a new one, and forget again after a restore of those"
        )
    if gone.learned:
        said.append(
            f"Next: linewright run {gone.line} trains without it; linewright promote --force serves that model if its gates do not"
        )
    return "\n".join(said)
