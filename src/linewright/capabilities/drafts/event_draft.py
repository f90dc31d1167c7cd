"""The first line file of a line that recommends, from a table of events: who took what, and when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import polars as pl

from linewright.capabilities.drafts.draft import sources_without_comment
from linewright.data.profile.column import UNUSABLE, Seen, words_of
from linewright.data.profile.roles import GivenRoles, choose_roles, is_unix
from linewright.data.spec import HISTORY, NUMBERS, SourceSpec
from linewright.errors import RequestError
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
    "listener",
    "reader",
    "viewer",
    "player",
    "shopper",
    "guest",
)
_ITEMS = (
    "item",
    "product",
    "movie",
    "film",
    "track",
    "song",
    "article",
    "sku",
    "stock",
    "book",
    "page",
    "video",
    "isbn",
)
_LIKED = ("rating", "stars", "score", "review", "grade")
_MOST_GRADES = 21
_AMOUNTS = ("quantity", "qty", "amount", "units", "count")
_OFTEN = 0.1
"""Share of a user's events that are of an item which the user had before, from which on items may be listed again."""
_MOST_A_DAY = 3.0
"""Moments of a user in a day, on average, from which on a day is one moment."""
_MANY_MOMENTS, _SOME_A_DAY = 20_000, 1.5
"""The same for tables of very many moments, of which each would be a row."""
_LEAST_EACH, _LEAST_ITEMS = 3.0, 20
"""Events of a user, on average, and different items, from which on a table is one of events."""


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
    liked: Seen | None
    """A column that says how much users liked what they took; it is not used."""
    categories: tuple[str, ...]
    """Columns that have one value for each item, and few values."""

    @property
    def is_unix(self) -> bool:
        """Whether times are Unix seconds."""
        return is_unix(self.time)

    @property
    def frame(self) -> pl.DataFrame:
        """User, item and time of the events that count."""
        time = self.time.values
        if self.is_unix:
            time = pl.from_epoch(time, time_unit="s")
        kept = {"user": self.user.values, "item": self.item.values.cast(pl.String), "time": time}
        frame = pl.DataFrame({name: values.alias(name) for name, values in kept.items()})
        if self.amount is not None:
            frame = frame.filter(self.amount.values > 0)
        return frame.drop_nulls()


def draft_events(
    name: str, source: SourceSpec, seen: Mapping[str, Seen], given: GivenRoles, *, source_name: str
) -> EventLine:
    """Return the text of a line file for events, each choice with its reason."""
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
        liked=next((one for one in others.values() if _says_liked(one)), None),
        categories=tuple(
            one.name
            for one in others.values()
            if one.name not in {user.name, time} and _is_category(one, item)
        ),
    )


def _is_category(column: Seen, item: Seen) -> bool:
    if column.type != "category" or column.missing or not 1 < column.distinct <= item.distinct / 2:
        return False
    pairs = pl.DataFrame({"item": item.values, "of": column.values}).drop_nulls().unique()
    return pairs.height == item.distinct


def _says_liked(column: Seen) -> bool:
    return (
        column.type in NUMBERS
        and bool({*words_of(column.name)} & {*_LIKED})
        and 1 < column.distinct <= _MOST_GRADES
    )


def find_events(seen: Mapping[str, Seen], given: GivenRoles) -> tuple[str, str, str] | None:
    """Return user, item and time of a table that tells who took what and when, by the names of its columns; `None` of another."""
    if given.label not in seen or given.key is not None:
        return None
    try:
        events = _events(seen, _with_item(seen, given))
    except RequestError:  # it is not clear which is which
        return None
    users, items = max(events.user.distinct, 1), events.item.distinct
    is_one = (
        events.item.present / users >= _LEAST_EACH
        and items >= _LEAST_ITEMS
        and events.item.present > 2 * items
    )
    return (events.user.name, events.item.name, events.time.name) if is_one else None


def _with_item(seen: Mapping[str, Seen], given: GivenRoles) -> GivenRoles:
    """Return the roles with the item as the label, by its name; as they are if the label is none that rates or counts."""
    if {*words_of(given.label)} & {*_ITEMS}:
        return given
    named = [
        name
        for name, one in seen.items()
        if {*words_of(name)} & {*_ITEMS} and one.type in {"integer", "category", "text"}
    ]
    if len(named) == 1 and _says_liked(seen[given.label]):
        return msgspec.structs.replace(given, label=named[0])
    raise RequestError("no column names items", where="--label", found=given.label)


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
    if events.liked is not None:
        name = events.liked.name
        yield (
            f"  # {quoted(name)} is not used: each event counts alike. To learn from what was liked alone, add to the sql: "
            f"where {_in_sql(name)} >= {_good(events.liked)}"
        )
    lacking = [one for one in (events.user, events.item, events.time) if one.missing]
    wanted = [f"{_in_sql(one.name)} is not null" for one in lacking]
    reasons = [f"{one.missing:,} rows have no {one.name}" for one in lacking]
    if events.amount is not None:
        wanted.append(f"{_in_sql(events.amount.name)} > 0")
        reasons.append(f"{int((events.amount.values <= 0).sum()):,} give something back")
    if events.is_unix:
        reasons.append(f"{events.time.name} is in Unix seconds")
    if wanted or events.is_unix:
        time = _in_sql(events.time.name)
        made = f"make_timestamp({time} * 1000000) as {time}" if events.is_unix else time
        others = map(_in_sql, (events.user.name, events.item.name, *events.categories))
        names = ", ".join([*others, made])
        where = ["where", " and ".join(wanted)] if wanted else []
        sql = " ".join(["select", names, "from", source, *where])
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
        kind = "datetime" if one is events.time and events.is_unix else kind
        words = [f"type: {kind}"]
        if one is events.time and one.format:
            words.append(f"format: {quoted_sentence(one.format)}")
        yield f"    {quoted(one.name)}: {{{', '.join(words)}}}"
    for name in events.categories:
        yield f"    {quoted(name)}: {{type: category}}  # each item has one"
    yield "on_new_column: ignore  # other columns say nothing of who took what"
    yield "train:"
    yield "  task: recommend  # popularity, item-kNN and EASE are compared on the latest training rows, all items ranked"
    yield "  metric: ndcg@10"
    yield "  split: {by: time, test: 0.2}  # the latest fifth tests the model, as in real use"
    yield "recommend:"
    frame = events.frame
    share = 1 - frame.unique(["user", "item"]).height / max(frame.height, 1)
    again = share >= _OFTEN
    follows = (
        "lists may begin with what was just taken; `false` lists only new items"
        if again
        else "lists have only items that are new to the user; `true` may list those of the history too"
    )
    found = f"{share_in_words(share)} of the events are of an item that the user took before"
    yield f"  again: {str(again).lower()}  # {found}, so {follows}"
    yield "  items: 10  # an answer lists so many"
    if (every := _every(frame)) is not None:
        yield f"  every: {every[0]}  # {every[1]}"
    category = next(map(quoted, events.categories), "CATEGORY")
    yield f"  # at_most: {{{category}: 3}}  # at most so many of one category, by a column of the events"
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
    if a_day < (_SOME_A_DAY if moments > _MANY_MOMENTS else _MOST_A_DAY):
        return None
    return (
        "1d",
        f"a user has events at {a_day:.1f} times of a day, which are one moment; without it there are {moments:,}",
    )


def _good(liked: Seen) -> str:
    """Return the grade that about the better half has at least."""
    return f"{float(liked.values.drop_nulls().cast(pl.Float64).quantile(0.5, 'higher') or 0):g}"
