"""The operation that proposes a change of a line file."""

import msgspec

from linewright.capabilities.lines.operations.plan import PlanResult, planned
from linewright.capabilities.lines.proposed_text import read_proposed
from linewright.capabilities.proposals.line_file import may_read, propose_file
from linewright.capabilities.proposals.operations.proposals import ProposalLine, line_of
from linewright.capabilities.proposals.vote import apply_unless_it_waits
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.operations.parameter import LineText


class ProposedFile(ProposalLine, frozen=True, kw_only=True):
    """A line file that was proposed, and what a run of it would change."""

    plan: PlanResult | None = None
    """`None` if it asks a database something else, and who proposes may not train the line: then nothing is read."""


@operation(permission="plan", effect="propose", expensive=True)
def propose(factory: Factory, line: str, file: LineText, /, *, because: str = "") -> ProposedFile:
    """Propose another line file, and say what a run of it would change; nothing else changes until it is approved.

    `changes` of the file in force says who may approve it. The file is checked as `check` does but for the data, and its exact text is
    kept. The approval replaces the file only if it is still the one that this was proposed on. While the line has no model, its author
    needs no approval to change what it does with the same data, and the file is replaced at once; the owner of the factory, who may write to
    the file itself, never needs one. A query that is not in the file in force is only sent for those who may run the line.

    Parameters
    ----------
    line
        Name of the line.
    file
        The file with the new text; over HTTP, the text itself.
    because
        Why, for those who are to approve it.
    """
    if not because.strip():
        raise RequestError(
            "whoever is to approve a change wants to know why", where="--because", hint='add --because "why"'
        )
    spec = read_proposed(factory, line, file)
    plan = planned(factory, spec) if may_read(factory, spec) else None
    look = apply_unless_it_waits(factory, propose_file(factory, spec, file, because=because))
    found = line_of(factory, look, ProposedFile)
    return msgspec.structs.replace(found, plan=plan)
