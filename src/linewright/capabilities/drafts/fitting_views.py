"""Feature views that a new line can read: those whose entity, and whose time, its table has."""

from collections.abc import Sequence
from pathlib import Path

from linewright.data.checks.look import Profile
from linewright.errors import LinewrightError
from linewright.features.spec import ViewSpec
from linewright.line.file.view_file import read_view, view_names


def fitting_views(root: Path, profile: Profile, exclude: Sequence[str] = ()) -> tuple[ViewSpec, ...]:
    """Return the views of a factory that fit a table, by name; none for a table without a time, since features are of the time of a row.

    Of two with a column of one name it is the first. A view whose file is wrong fits none: `linewright features` says what is wrong.
    """
    time = profile.roles.time
    if time is None or profile.column(time).type not in {"date", "datetime"}:
        return ()
    taken = {column.name for column in profile.columns}
    entities = taken - {profile.label.column, time, *exclude}
    found = list[ViewSpec]()
    for name in view_names(root):
        try:
            view = read_view(root, name)
        except LinewrightError:
            continue
        if entities.issuperset(view.entities) and taken.isdisjoint(view.columns):
            found.append(view)
            taken.update(view.columns)
    return tuple(found)
