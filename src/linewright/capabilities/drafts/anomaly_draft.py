"""What `new` makes of a table of which good rows alone are learned from."""

from typing import NamedTuple

import polars as pl
from msgspec.structs import replace

from linewright.data.checks.look import Profile
from linewright.data.profile.roles import GivenRoles
from linewright.errors import RequestError, SpecError
from linewright.line.spec import UNNAMED
from linewright.text.good_and_faulty import good_and_faulty
from linewright.text.quoting import quoted, quoted_sentence

TASK = "anomaly"


class LabelledRows(NamedTuple):
    """A table as the checks of two classes look at it, and its label as the line file says it."""

    frame: pl.DataFrame
    """With a label in each row; if no row is known to be faulty, one that means nothing."""
    given: GivenRoles
    label: str
    """Line of the file; a comment if the table has none."""
    because: str
    is_labelled: bool
    """Whether rows are known to be faulty."""

    def without_label(self, profile: Profile) -> Profile:
        """Return a profile without a label that means nothing."""
        if self.is_labelled:
            return profile
        columns = tuple(one for one in profile.columns if one.name != self.given.label)
        return replace(profile, columns=columns, order="")


def with_labels(frame: pl.DataFrame, given: GivenRoles) -> LabelledRows:
    """Return a table each of whose rows has a label."""
    name = given.label or (UNNAMED if UNNAMED in frame.columns else "")
    if given.positive is not None and not name:
        raise RequestError(
            "a value that means faulty is of a label",
            where="--positive",
            found=given.positive,
            hint="name its column: --label COLUMN",
        )
    if frame.height < 2:
        raise RequestError(
            "one row does not say what is usual",
            where="--data",
            found="1 row",
            allowed="at least 30 good training rows",
            hint="bring more rows",
        )
    if not name:
        says = "# label: {column: COLUMN, positive: VALUE}"
        because = "if a column says which rows are known to be faulty: they are left out of what is learned, and measured by"
        return LabelledRows(
            _alternating(frame, UNNAMED),
            replace(given, label=UNNAMED, positive=None),
            says,
            because,
            is_labelled=False,
        )
    if name not in frame.columns:
        raise RequestError(
            "the data has no such column",
            where="--label",
            found=name,
            allowed=", ".join(frame.columns)[:500],
            hint="leave --label out if no column says which rows are faulty",
        )
    said = frame[name].cast(pl.String)
    try:
        good, faulty = good_and_faulty(
            said.drop_nulls().unique().to_list(), given.positive, has_gaps=said.null_count() > 0
        )
    except SpecError as error:
        raise RequestError(
            error.what, where="--positive", found=str(error.found), allowed=error.allowed, hint=error.hint
        ) from error
    filled = said.fill_null(good)
    label = f"label: {{column: {quoted(name)}, positive: {quoted_sentence(faulty)}}}"
    known = int((filled == faulty).sum())
    because = f"{known:,} rows are known to be faulty; those without a label count as {good!r}"
    if not known or known == len(filled):
        return LabelledRows(
            _alternating(frame, name),
            replace(given, label=name, positive=None),
            label,
            because,
            is_labelled=False,
        )
    return LabelledRows(
        frame.with_columns(filled),
        replace(given, label=name, positive=faulty),
        label,
        because,
        is_labelled=True,
    )


def _alternating(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a table whose label means nothing, so that no column is suspected to know it."""
    return frame.with_columns(pl.Series(name, ["ab"[row % 2] for row in range(frame.height)]))
