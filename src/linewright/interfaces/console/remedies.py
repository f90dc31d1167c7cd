"""What checks found, each in a sentence and with the change of the line file that fixes it."""

from collections.abc import Container, Iterable
from typing import NamedTuple

import msgspec

from linewright.data.facts import Finding
from linewright.data.finding_text import evidence_in_words, remedy_in_words


class Remedied(NamedTuple):
    """A finding, as a page has it."""

    severity: str
    check: str
    says: str
    fixes: str
    """What to write into the line file; empty if that fixes nothing."""
    edits: str
    """The same for `check-text`."""


def with_remedies(findings: Iterable[Finding], excluded: Container[str] = ()) -> list[Remedied]:
    """Return findings with their sentences; those that ask for something come first."""
    order = ("exclude", "ask", "warn", "note")
    return [
        Remedied(
            severity=one.severity,
            check=one.check,
            says=f"{', '.join(one.columns)}{': ' if one.columns else ''}{evidence_in_words(one.check, one.evidence)}",
            fixes="" if one.columns and one.columns[0] in excluded else remedy_in_words(one.remedy),
            edits=msgspec.json.encode(one.remedy).decode(),
        )
        for one in sorted(findings, key=lambda each: order.index(each.severity))
    ]
