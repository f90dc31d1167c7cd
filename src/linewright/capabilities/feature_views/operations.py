"""Operations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.errors import LinewrightError, NotFound
from linewright.features.facts import FeatureAudit
from linewright.line.factory import Factory
from linewright.line.file.view_file import FOLDER, read_view, view_names
from linewright.line.record.view_status import ViewStatus, lines_by_view, view_status
from linewright.line.release.view_maintenance import SAMPLE, note_audit
from linewright.line.views.logged_features import audit_views
from linewright.operations.declare import operation
from linewright.text.suggest import listed


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """Feature views."""

    views: tuple[ViewStatus, ...]
    troubles: tuple[str, ...]
    """What is wrong with files of views, and of lines that name some: what these say is not known."""
    view: str | None = None
    """The one that was asked for; `None` for all."""


@operation(permission="view", effect="read", expensive=True, checks_lines=True)
def features(factory: Factory, view: str | None = None, /) -> Features:
    """List feature views: what each computes and from what, how fresh it is, who uses it, what it costs and what is wrong.

    Parameters
    ----------
    view
        Name of one view, which is then shown with its columns (default: all that you may see).
    """
    lines, troubles = lines_by_view(factory)
    # A view names no line: it is seen with any line that names it.
    visible = [one for one in view_names(factory.root) if one in lines or factory.may("view", None)]
    if view is not None and view not in visible:
        raise NotFound(
            "unknown feature view",
            where=FOLDER,
            found=view,
            allowed=listed(visible) or "(none yet)",
            hint=f"write {FOLDER}/NAME.yaml" if not visible else "",
        )
    found = list[ViewStatus]()
    for name in visible if view is None else [view]:
        try:
            spec = read_view(factory.root, name)
        except LinewrightError as error:
            troubles.append(str(error))
        else:
            found.append(view_status(factory, spec, lines.get(name, ())))
    return Features(views=tuple(found), troubles=tuple(dict.fromkeys(troubles)), view=view)


@operation(permission="view-rows", effect="act", expensive=True)
def audit_features(
    factory: Factory, line: str, /, *, sample: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
) -> FeatureAudit:
    """Compute the features of logged rows again, and name those that differ.

    What feature views knew as a request came is computed from their sources, and compared with the logged row bit by bit. Rows are *behind* if more
    was known than the records that the endpoint read: it is right, and write records more often (`every`) if it matters. Rows that
    predictions of files logged are counted, not compared: what was known then is not logged with them. What was found is recorded, if the sample is 200 or more. If a row differs, the
    command exits with 4.

    Parameters
    ----------
    line
        Name of the line.
    sample
        How many rows, the newest ones.
    """
    factory.line(line)
    audited = audit_views(factory, line, sample=sample)
    if sample >= SAMPLE:
        note_audit(factory, audited, because="a person or program had logged features computed again")
    return audited
