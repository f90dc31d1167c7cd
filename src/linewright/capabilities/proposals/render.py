"""Changes that wait for people: what changes and why, who asked, who may approve, how many did, and until when."""

from linewright.capabilities.lines.render import plan_text
from linewright.capabilities.proposals.comparison import Comparison
from linewright.capabilities.proposals.operations import (
    Approved,
    ProposalDetail,
    ProposalLine,
    Proposals,
    ProposedFile,
    Vote,
)
from linewright.interfaces.cli.dispatch import renderer, result_text
from linewright.interfaces.cli.text import cell, pairs
from linewright.interfaces.cli.words import short
from linewright.text.numbers import count, in_words


@renderer.register
def proposal_text(one: ProposalLine) -> str:
    """Say it, the next command last."""
    authors = f" (a change of {', '.join(one.authors)})" if one.authors else ""
    said = [
        ("why", one.because),
        *([("verdict", f"{one.verdict} ({short(one.certificate or '')})")] if one.verdict else []),
        ("asked by", f"{one.by}, {cell(one.at)}{authors}"),
        *(_approvals(one) if one.needed else [("approved", "not needed")]),
        *(("", _vote(vote)) for vote in one.approved),
        *([("declined", _vote(one.declined))] if one.declined else []),
        *([("withdrawn", _vote(one.withdrawn))] if one.withdrawn else []),
        *([("moved", ", ".join(one.moved))] if one.moved else []),
        ("until", one.expires),
    ]
    body = pairs(said).replace("\n", "\n  ")
    text = [f"{one.proposal}  {one.state}  {_what(one)}", f"  {body}"]
    if isinstance(one, ProposalDetail) and one.comparison is not None:
        text.append(_comparison_text(one.comparison))
    if one.diff:
        text.append(one.diff.rstrip("\n"))
    if isinstance(one, ProposedFile) and one.plan is not None:
        text.append(plan_text(one.plan))
    if isinstance(one, Approved) and one.forgot is not None:
        text.append(result_text(one.forgot) or "")
    return "\n".join([*text, *(f"next: {each}" for each in one.next)])


@renderer.register
def proposals_text(found: Proposals) -> str:
    """Say one after the other."""
    return "\n\n".join(map(proposal_text, found.proposals)) or "No change waits for approval."


def _comparison_text(one: Comparison) -> str:
    before = "" if one.columns_before is None else f" in place of {one.before} ({_reads(one.columns_before)})"
    said = [f"  {one.model} ({_reads(one.columns)}){before}"]
    if one.metric:
        said.append(
            f"  {one.metric.name} {in_words(one.metric.value)} in place of {in_words(one.metric.before)}, "
            f"on the same {count(one.metric.n, 'test row')}"
        )
    said += [f"  it reads also {', '.join(one.added)}"] if one.added else []
    said += [f"  it does not read {', '.join(one.dropped)}"] if one.dropped else []
    said += [f"  not examined: {', '.join(one.unexamined)}"] if one.unexamined else []
    return "\n".join(said)


def _reads(columns: int) -> str:
    return count(columns, "column")


def _approvals(one: ProposalLine) -> list[tuple[str, str]]:
    voters = ", ".join(one.voters) or "nobody as members are now"
    return [
        ("may approve", f"{', '.join(one.approvers)}: {voters}"),
        ("approved", f"{len(one.approved)} of {one.needed}"),
    ]


def _what(one: ProposalLine) -> str:
    match one.kind:
        case "promotion":
            return f"{one.model} is to serve{', by force' if one.forced else ''}"
        case "line-change":
            return f"lines/{one.line}.yaml is to change"
        case "autonomy-change":
            return f"lines/{one.line}.yaml is to change what the line may do by itself"
        case "forget":
            there = ", ".join(f"{count:,} {name}" for name, count in (one.removes or {}).items())
            return f"what {one.line} has stored about a person is to go ({there})"
        case "restore":
            return f"the backup {one.backup} is to be restored"


def _vote(vote: Vote) -> str:
    return f"{vote.member}, {cell(vote.at)}{f': {vote.comment}' if vote.comment else ''}"
