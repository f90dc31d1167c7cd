"""What was removed about a person, or would be."""

import msgspec

from linewright.line.problem import Problem


class NamedInRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the record, or batches of questions, that name a person, which nobody can change."""

    kind: str
    """Of events, or of results that events refer to; or `INSTRUCTIONS`."""
    entries: int


class OutputWithout(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows about a person in a place that answers were written to."""

    place: str
    rows: int = 0
    """That were removed, or would be."""
    is_gone: bool = False
    """Whether the file or table is not there any more: who moved it has it."""
    problem: Problem | None = None
    """Why the place was not reached; it is tried again."""


class ErasureReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed about a person, or would be."""

    line: str
    predictions: int
    labels: int | None
    """Changes of labels; `None` where that is not counted, as in a dry run."""
    rows: int
    """Of datasets; rows that versions share are counted once."""
    datasets: tuple[str, ...]
    """Digests of the dataset versions that had such rows."""
    quarantined: int
    learned: tuple[str, ...]
    """Models, as LINE@VERSION, that have learned from them."""
    serving: tuple[str, ...]
    """Those of them that serve or are tried."""
    shared: tuple[str, ...]
    """Other lines that keep equal rows, whose models cannot be rebuilt either until the rows are read again, or that read what was sent."""
    sources: tuple[str, ...]
    """Files that the line reads and in which the person stands still."""
    files: tuple[str, ...]
    """Other files of the user's own in the folder: what was asked, answers of `predict --out`, backups, files of lines and views."""
    left: tuple[str, ...]
    """Places in the state in which the text was found afterwards."""
    dry_run: bool
    views: tuple[str, ...] = ()
    """Feature views that leave the person out, for all lines that have them."""
    records: int = 0
    """Records of the person in their files."""
    resumed: int = 0
    """Removals of before that had been interrupted, and were ended now."""
    sent: int = 0
    """Rows that had been sent to sources of the line or of its feature views; they go for all lines that read these."""
    comments: int = 0
    """Comments that name the person or a key of theirs, or are about a prediction or row of theirs: they are without words."""
    in_record: tuple[NamedInRecord, ...] = ()
    """What names the person or a key of theirs and stays: the sealed record cannot be changed."""
    outputs: tuple[OutputWithout, ...] = ()
    """Places that scheduled predictions wrote answers to and that had rows of the person, are not there any more, or were not reached."""
    unread: tuple[str, ...] = ()
    """Sources in databases, buckets and services, which are not looked at: the person may stand there still."""

    unsearched: tuple[str, ...] = ()
    """Files that may have it: they are packed in a way that is not read here, damaged, or too large."""

    tried: tuple[str, ...] = ()
    """Models, as LINE@VERSION, whose packages keep features of their rows, to try when they are loaded."""

    @property
    def is_something(self) -> bool:
        """Whether the line had anything."""
        found = (self.predictions, self.rows, self.quarantined, self.sent, self.records, self.comments)
        found = (*found, *(one.rows for one in self.outputs))
        return any(found)

    @property
    def exit_code(self) -> int:
        """0, or 4 where the text is still found in the state or the record, or a place of answers was not reached."""
        if self.left or any(one.problem for one in self.outputs):
            return 4
        return 4 if self.in_record and not self.dry_run else 0
