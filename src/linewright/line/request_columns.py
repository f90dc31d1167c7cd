"""What a request gets of `table.sql`, and what it must have, in words."""

from collections.abc import Iterator

from linewright.data.facts import WHY_SENT, RowSql


def sql_in_words(rows: RowSql) -> Iterator[str]:
    """Say which columns are made of a row, and which must be sent beside those of the source."""
    if rows.expressions:
        made = ", ".join(
            f"{one.name} (of {', '.join(one.reads)})" if one.reads else one.name for one in rows.expressions
        )
        yield f"made of each row of {rows.source!r}, in requests too: {made}"
    by_reason: dict[str, list[str]] = {}
    for one in rows.must_be_sent:
        by_reason.setdefault(WHY_SENT[one.because], []).append(one.name)
    for because, names in by_reason.items():
        yield f"must be sent with a request: {', '.join(names)} ({because})"
