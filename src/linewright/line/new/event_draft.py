"""The first line file of a line that recommends, from a table of events: who took what, and when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from linewright.data.profile.column import UNUSABLE, Seen, words_of
from linewright.data.profile.roles import GivenRoles, choose_roles
from linewright.data.spec import HISTORY, NUMBERS, SourceSpec
from linewright.errors import RequestError
from linewright.line.new.draft import sources_without_comment
from linewright.text.numbers import share_in_words
from linewright.text.quoting import quoted, quoted_sentence
from linewright.text.suggest import listed

_USERS = (
    "user",
    "customer",
    "member",
    "client",
    "visitor",
    "account",
    "buyer",
    "session",
    "patient",
    "subscriber",
)
_AMOUNTS = ("quantity", "qty", "amount", "units", "count")
_OFTEN = 0.1
"""Share of a user's events that are of an item which the user had before, from which on items may be listed again."""
_MOST_A_DAY = 3.0
"""Moments of a user in a day, on average, from which on a day is one moment."""


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """A line file of events."""

    text: str
    user: str
    time: str


@dataclass(frozen=True, kw_only=True)
class _Events:
    """The columns that matter, and what they hold."""

    user: Seen
    user_because: str
    item: Seen
    time: Seen
    time_because: str
    amount: Seen | None
    """A column of amounts, some of them below 1: what was given back."""

    @property
    def frame(self) -> pl.DataFrame:
        """User, item and time of the events that count."""
        kept = {"user": self.user.values, "item": self.item.values.cast(pl.String), "time": self.time.values}
        frame = pl.DataFrame({name: values.alias(name) for name, values in kept.items()})
        if self.amount is not None:
            frame = frame.filter(self.amount.values > 0)
        return frame.drop_nulls()


def draft_events(
    name: str, source: SourceSpec, seen: Mapping[str, Seen], given: GivenRoles, *, source_name: str
) -> EventLine:
    """Return the text of a line file for events, each choice with its reason.

    Parameters
    ----------
    given
        Its label is the item, its group the user; user and time are looked for where they are not given.

    Raises
    ------
    RequestError
        If a column is not there, or nothing says which one is the user or the time; it names those that may be.
    """
    events = _events(seen, given)
    lines = [
        *_head(name, events),
        *sources_without_comment(source, source_name),
        *_table(events, source_name),
        *_rest(events),
    ]
    return EventLine(text="\n".join(lines) + "\n", user=events.user.name, time=events.time.name)


def _events(seen: Mapping[str, Seen], given: GivenRoles) -> _Events:
    for option, column in (("--label", given.label), ("--group", given.group), ("--time", given.time)):
        if column is not None and column not in seen:
            raise RequestError(
                "the data has no such column", where=option, found=column, allowed=listed(list(seen))
            )
    item = seen[given.label]
    others = {name: one for name, one in seen.items() if name != item.name and name not in given.exclude}
    roles = choose_roles({name: one for name, one in others.items() if name != given.group}, _alone(given))
    time = given.time or roles.time
    if time is None:
        raise RequestError(
            "it is not known which column says when an event happened",
            where="--time",
            allowed=listed(
                [one.name for one in others.values() if one.type in {"date", "datetime", "integer"}]
            ),
            hint="name it: --time COLUMN",
        )
    user, because = _user(others, given, time)
    amounts = (one for one in others.values() if one.type in NUMBERS and {*words_of(one.name)} & {*_AMOUNTS})
    amount = next((one for one in amounts if one.present and float(one.ends[0]) <= 0), None)
    if HISTORY in {user.name, item.name, time}:
        raise RequestError(
            "the column that is made of the events has this name",
            where="--data",
            found=HISTORY,
            hint="rename it",
        )
    return _Events(
        user=user,
        user_because=because,
        item=item,
        time=seen[time],
        time_because="you named it" if given.time else roles.time_because,
        amount=amount,
    )


def _alone(given: GivenRoles) -> GivenRoles:
    return GivenRoles(label=given.label, time=given.time, exclude=given.exclude)


def _user(others: Mapping[str, Seen], given: GivenRoles, time: str) -> tuple[Seen, str]:
    if given.group is not None:
        return others[given.group], "you named it"
    free = [one for one in others.values() if one.name != time and _may_name(one)]
    named = [one for one in free if {*words_of(one.name)} & {*_USERS}]
    if len(named) == 1:
        return named[0], f"by its name; {named[0].distinct:,} different ones"
    raise RequestError(
        "it is not known which column says who took an item",
        where="--group",
        found=", ".join(one.name for one in named) or None,
        allowed=listed([one.name for one in named or free if one.distinct > 1]),
        hint="name it: --group COLUMN",
    )


def _may_name(column: Seen) -> bool:
    """Return whether a column may name users; a file may spell whole numbers with decimals."""
    if column.type == "number":
        known = column.values.drop_nulls()
        return bool((known == known.round()).all())
    return column.type not in {UNUSABLE, "boolean", "text", "date", "datetime"}


def _head(name: str, events: _Events) -> Iterator[str]:
    frame = events.frame
    yield (
        f"# Written by `linewright new` from {frame.height:,} events of {frame['user'].n_unique():,} users and "
        f"{frame['item'].n_unique():,} items. Change what you know better."
    )
    yield f"# Next: linewright run {name}"
    yield f"line: {quoted(name)}"
    yield f"about: {quoted_sentence(f'Recommend {events.item.name} to {events.user.name}')}"


def _table(events: _Events, source: str) -> Iterator[str]:
    yield "table:"
    lacking = [one for one in (events.user, events.item, events.time) if one.missing]
    wanted = [f"{_in_sql(one.name)} is not null" for one in lacking]
    reasons = [f"{one.missing:,} rows have no {one.name}" for one in lacking]
    if events.amount is not None:
        wanted.append(f"{_in_sql(events.amount.name)} > 0")
        reasons.append(f"{int((events.amount.values <= 0).sum()):,} give something back")
    if wanted:
        names = ", ".join(_in_sql(one.name) for one in (events.user, events.item, events.time))
        sql = " ".join(["select", names, "from", source, "where", " and ".join(wanted)])
        yield f"  sql: {quoted_sentence(sql)}  # {'; '.join(reasons)}"
    yield f"  group: {quoted(events.user.name)}  # the user: {events.user_because}"
    yield f"  time: {quoted(events.time.name)}  # {events.time_because}"
    yield f"label: {{column: {quoted(events.item.name)}}}  # the item: {events.item.distinct:,} different ones"


def _in_sql(name: str) -> str:
    # In quotes, always: "at" and "user" are words of SQL.
    return '"' + name.replace('"', '""') + '"'


def _rest(events: _Events) -> Iterator[str]:
    yield "contract:"
    yield "  columns:"
    for one in (events.user, events.item, events.time):
        kind = "category" if one is events.item else one.type
        words = [f"type: {kind}"]
        if one is events.time and one.format:
            words.append(f"format: {quoted_sentence(one.format)}")
        yield f"    {quoted(one.name)}: {{{', '.join(words)}}}"
    yield "on_new_column: ignore  # other columns say nothing of who took what"
    yield "train:"
    yield "  task: recommend  # popularity, item-kNN and EASE are compared on the latest training rows, all items ranked"
    yield "  metric: ndcg@10"
    yield "  split: {by: time, test: 0.2}  # the latest fifth tests the model, as in real use"
    yield "recommend:"
    frame = events.frame
    share = 1 - frame.unique(["user", "item"]).height / max(frame.height, 1)
    again = share >= _OFTEN
    yield f"  again: {str(again).lower()}  # {share_in_words(share)} of the events are of an item that the user took before"
    yield "  items: 10  # an answer lists so many"
    if (every := _every(frame)) is not None:
        yield f"  every: {every[0]}  # {every[1]}"
    yield "  # at_most: {CATEGORY: 3}  # at most so many of one category, by a column of the events"
    yield "gates:"
    yield "  - {beats: champion, confidence: 0.95}  # better than what serves, user by user; at first, than popular items"
    yield "# watch: {every: 1d}  # under `up`, histories and lists are compared with those of the test part, and lists with what was taken"
    yield "# retrain: {when: [{every: 7d}]}  # new items are known to the next training alone"


def _every(frame: pl.DataFrame) -> tuple[str, str] | None:
    """Return a span that is one moment, and why, if the users have many moments in a day."""
    if not isinstance(frame["time"].dtype, pl.Datetime):
        return None
    days = frame.with_columns(day=pl.col("time").dt.date())
    moments, spans = frame.unique(["user", "time"]).height, days.unique(["user", "day"]).height
    a_day = moments / max(spans, 1)
    if a_day < _MOST_A_DAY:
        return None
    return "1d", f"a user has events at {a_day:.0f} times of a day, which are one moment"
