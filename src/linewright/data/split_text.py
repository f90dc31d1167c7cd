"""What a split says in a sentence: why the parts are what they are."""

from linewright.data.facts import ByGroup, ByHash, ByTime, Split, SplitReason
from linewright.store.clock import said

_OFF = 0.1
"""Share of what was asked for by which a split by time may miss it before it says so."""


def split_in_words(split: Split) -> str:
    """Say why this kind of split, and what else decided about its parts.

    Examples
    --------
    >>> reason = SplitReason(cut=ByHash(key="id", is_asked=True))
    >>> split_in_words(Split(dataset="", by="random", reason=reason, cutoff=None, train=8, test=2, embargo=0, unlabelled=0,
    ...     parts="", fold_salt="", copies=12))
    "the line asks for it: rows are split by a salted hash of their key 'id'; 12 rows that repeat a training row are in neither part"
    """
    return reason_in_words(split.reason, cutoff=split.cutoff, since=split.since, copies=split.copies)


def reason_in_words(reason: SplitReason, *, cutoff: str | None, since: str | None, copies: int) -> str:
    """Say it of parts whether or not they became a split; the other arguments are as in `Split`."""
    told = [_cut_in_words(reason.cut, cutoff)]
    if since is not None:
        told.append(
            f"of the test rows those answered since {said(since)} judge, the {reason.older:,} older ones are in neither part"
        )
    if copies:
        rows = "later rows" if isinstance(reason.cut, ByTime) else "rows"
        told.append(f"{copies:,} {rows} that repeat a training row are in neither part")
    if reason.staying:
        told.append(
            f"{reason.staying.rows:,} test rows repeat a training row and stay, for {reason.staying.share:.0%} of the training rows "
            "repeat one"
        )
    if one := reason.apart:
        told.append(
            f"{one.name!r} is {one.train:.1%} of the training rows and {one.test:.1%} of the test rows"
        )
    return "; ".join(told)


def called(*, without_repeats: bool) -> str:
    """Return what the rows are called by which a split by time counts."""
    return "labelled rows that repeat no earlier one" if without_repeats else "labelled rows"


def _cut_in_words(cut: ByGroup | ByHash | ByTime, cutoff: str | None) -> str:
    match cut:
        case ByGroup():
            return f"rows of one {cut.column!r} belong together, so whole groups go one way, by a salted hash"
        case ByHash():
            of = f"their key {cut.key!r}" if cut.key else "their content"
            asked = "the line asks for it" if cut.is_asked else "the table names neither a time nor a group"
            return f"{asked}: rows are split by a salted hash of {of}"
        case ByTime():
            rows = called(without_repeats=cut.without_repeats)
            told = f"{cut.column!r} says when rows happened: {cut.share:.1%} of the {rows} are at or after {cutoff}"
            return f"{told}{_beside_asked(cut)}{_straddling_in_words(cut)}"


def _beside_asked(cut: ByTime) -> str:
    if cut.is_shortest:
        return ", the latest that are enough to judge"
    is_off = abs(cut.share - cut.asked) > _OFF * cut.asked
    return f" (not {cut.asked:.1%}, because many rows share a time)" if is_off else ""


def _straddling_in_words(cut: ByTime) -> str:
    if not cut.straddling:
        return ""
    has = "has" if cut.straddling == 1 else "have"
    return f"; {cut.straddling:,} of the groups in {cut.group!r} {has} rows on both sides"
