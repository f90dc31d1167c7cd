"""The operation about feature views: what they compute, how fresh they are, and who uses them."""

import msgspec

from linewright.errors import LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.file.view_file import FOLDER, read_view, view_names
from linewright.line.record.view_status import ViewStatus, lines_by_view, view_status
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
