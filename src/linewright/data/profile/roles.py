"""Which column is the key, the time, the group or the weight: what a person said, else what the data suggest."""

from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from linewright.data.finding_text import evidence_in_words
from linewright.data.profile.column import Seen, words_of
from linewright.data.spec import NUMBERS, TIMES, TableSpec
from linewright.errors import RequestError
from linewright.text.quoting import quoted
from linewright.text.suggest import listed

Columns = Mapping[str, Seen]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBERING = _words("id ids uuid guid key no nr num number serial index idx")
_ROWS = _words("row rows rowname rownames rowid record unnamed")
"""What programs call a number that they gave to each row."""
_PERSONS = _words("user customer client patient subject person member student driver employee player")
_ENTITIES = _PERSONS | _words(
    "household machine unit device engine vehicle account session animal sensor well invoice order"
)
_PLACES = _words(
    "business company firm shop store site branch restaurant hotel school hospital clinic facility "
    "station plant farm supplier vendor merchant seller"
)
"""What a table may name in several rows without a number of its own."""
TIME_WORDS = _words("time timestamp datetime date dt ts day dteday when created at occurred")
COUNTED = _words("year yr month week hour minute second epoch cycle step period quarter")
_OTHER_TIMES = _words("birth dob born end due expiry expires expiration until valid updated modified out")
_NO_IDS = _words(
    "acid aid bid covid fluid grid humid hybrid invalid kid lid lipid liquid mid paid prepaid pyramid "
    "raid rapid repaid said solid steroid thyroid unpaid valid void"
)
"""Words that end in *id* and number nothing."""
_FULL_NAMES = _words("firstname lastname surname forename fullname fname lname middlename")
_PARTS_OF_NAMES = _words("first last family given middle full maiden")
"""What stands beside the word *name* where a column names people."""
_AFTERWARDS = _words(
    "tat turnaround outcome discharge discharged closed resolved resolution settled settlement"
)
"""Words for what is known once a case is over."""
_BEFORE = _words("previous prev prior last past former earlier")
"""Words by which an outcome is that of an earlier case."""
_UNITS = ("day", "days", "date", "time", "week", "weeks", "month", "months", "year", "years")
_NO_TIMES = _OTHER_TIMES | _words("birthday birthdate holiday lifetime update candidate mandate overtime")
_WEIGHTS = _words("fnlwgt wgt wt pweight finalwgt perwt hhwt")
_FEW = 20
AGAIN = 0.02
"""Share of the rows whose value stood in an earlier row, from which on a column that names things is a group."""
_LEAST_NUMBERED = 100
"""Rows with a value, from which on whole numbers can be told to number things."""
_MOST_OWN = 0.6
"""Share of these rows that have a number which no earlier one has, from which on they do."""
ENOUGH_GROUPS = 20
"""Groups that a line may be split by without a warning."""
_UNIX_SECONDS = (300_000_000, 4_000_000_000)


class GivenRoles(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of the columns of a table: which is to be predicted and, where they know it, what others are."""

    label: str
    """Column that is to be predicted."""
    event: str | None = None
    """If the label is a time: column that says whether it happened then."""
    positive: str | None = None
    """For two classes: the value of the label whose probability is wanted, as spelled in the data."""
    time: str | None = None
    """Column that says when a row happened."""
    group: str | None = None
    """Column whose rows belong together."""
    key: str | None = None
    """Column that names a row."""
    weight: str | None = None
    """Column that says what a row counts, at least 0."""
    exclude: Sequence[str] = ()
    """Columns that a model shall not see, whatever they hold."""


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that play a part, each with the reason; `None` where there is none, and why not."""

    key: str | None
    key_because: str = ""
    time: str | None
    time_because: str = ""
    group: str | None
    group_because: str = ""
    weight: str | None
    weight_because: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Columns with a part; a model never sees them."""
        return tuple(name for name in (self.key, self.time, self.group, self.weight) if name is not None)


def declared_roles(table: TableSpec) -> Roles:
    """Return the roles as a line file has them."""
    return Roles(key=table.key, time=table.time, group=table.group, weight=table.weight)


def choose_roles(seen: Columns, given: GivenRoles) -> Roles:
    """Give the parts of a table to its columns: those that a person named, and time, key and group as the data suggest."""
    time, group, key, weight = given.time, given.group, given.key, given.weight
    taken = {given.label, *given.exclude, *(name for name in (time, group, key, weight) if name)}
    free = {name: column for name, column in seen.items() if name not in taken}
    said = "you named it"
    if key is not None:
        _refuse_key(seen[key], seen)
    if time is not None:
        _refuse_time(seen[time])
    if weight is not None:
        _refuse_weight(seen[weight])
    times = (time, said) if time else _guess_time(free)
    free.pop(times[0] or "", None)
    keys = (key, said) if key else _guess_key(free)
    free.pop(keys[0] or "", None)
    groups = (group, said) if group else _guess_group(free)
    return Roles(
        key=keys[0],
        key_because=keys[1],
        time=times[0],
        time_because=times[1],
        group=groups[0],
        group_because=groups[1],
        weight=weight,
        weight_because=said if weight else "",
    )


def _refuse_key(column: Seen, seen: Columns) -> None:
    where = f"--key {column.name}"
    if column.missing:
        raise RequestError(
            "a key names every row, and this one is missing in some",
            where=where,
            found=f"{column.missing:,} rows without a value",
            hint="name another column, or leave --key out",
        )
    if not column.is_unique:
        counts = column.values.alias("value").value_counts(sort=True, name="rows")
        value, rows = counts.row(0)
        rows_apart = pl.DataFrame({name: one.values for name, one in seen.items()}).n_unique()
        hint = "if its rows belong together, use --group"
        if rows_apart == column.distinct:  # nothing but repeats of whole rows
            query = "sql: select distinct * from SOURCE"
            hint = (
                f"{len(column.values) - rows_apart:,} rows repeat another one exactly: leave --key out, and add to the line file, under "
                f"`table`, `key: {quoted(column.name)}` and `{query}`; or take them out of the data"
            )
        raise RequestError(
            "a key names one row, and this one repeats",
            where=where,
            found=f"{column.distinct:,} values in {len(column.values):,} rows; {str(value)[:60]!r} stands {rows:,} times",
            hint=hint,
        )


def _refuse_time(column: Seen) -> None:
    if column.type in TIMES | NUMBERS:
        return
    example = column.values.drop_nulls().head(1).to_list()
    raise RequestError(
        "these are neither dates nor times",
        where=f"--time {column.name}",
        found=str(example[0])[:60] if example else "no values",
        allowed="ISO 8601, a common format of dates that can be told apart, or numbers that grow",
        hint="write the line without --time, and make the column in table.sql or say its format in contract.columns",
    )


def _refuse_weight(column: Seen) -> None:
    where = f"--weight {column.name}"
    if column.type not in NUMBERS:
        raise RequestError("a weight is a number", where=where, found=column.type, allowed="integer, number")
    low, _ = column.ends
    if column.missing or low is None or low < 0:
        raise RequestError(
            "a weight is at least 0 in every row",
            where=where,
            found=f"{column.missing:,} missing, smallest {low}",
        )


def _guess_time(free: Columns) -> tuple[str | None, str]:
    dated = [column for column in free.values() if column.type in TIMES and column.distinct > 2]
    whole = [column for column in dated if not column.missing and not _OTHER_TIMES & set(column.words)]
    if whole:
        # `max` keeps the first of equals, so the order of the file decides.
        best = max(
            whole, key=lambda column: (bool(TIME_WORDS & set(column.words)), column.type == "datetime")
        )
        rest = [repr(column.name) for column in dated if column is not best]
        others = f"; other dates are in {listed(rest, 5)}" if rest else ""
        low, high = best.ends
        return best.name, f"{best.type}s from {low} to {high}{others}"
    for column in free.values():
        if column.type in NUMBERS and not column.missing and {"time", "timestamp", "ts"} & set(column.words):
            if is_unix(column):
                return column.name, "whole numbers that read as Unix seconds"
            if column.distinct > _FEW and column.values.is_sorted():
                return column.name, "numbers that never fall from row to row"
    return None, "no column holds dates without gaps" if dated else "no column holds dates"


def time_doubt(column: Seen) -> dict[str, int | float | str]:
    """Return the range of a column of plain numbers that may not be a time; nothing where it reads as one."""
    is_named = (TIME_WORDS | COUNTED) & set(column.words)
    if column.type not in NUMBERS or is_named or is_unix(column) or column.values.is_sorted():
        return {}
    low, high = map(str, column.ends)
    return {"low": low, "high": high}


def is_unix(column: Seen) -> bool:
    """Return whether whole numbers are likely seconds since 1970, of the last decades."""
    low, high = column.ends
    first, last = _UNIX_SECONDS
    return column.type == "integer" and column.present > 0 and low >= first and high <= last


def _guess_key(free: Columns) -> tuple[str | None, str]:
    # The number of a day names its row only while each day has one.
    ids = [
        (column, evidence)
        for column in free.values()
        if column.is_unique
        and (evidence := id_evidence(column))
        and not (column.type in NUMBERS and is_time_name(column.name))
    ]
    if not ids:
        return (
            None,
            "no column names each row, so feedback goes by the id of a prediction",
        )
    # A name that others gave outlives the file; a running number may be the file's own.
    best, evidence = max(
        ids, key=lambda item: (bool(_NUMBERING & set(item[0].words)), item[0].type not in NUMBERS)
    )
    return best.name, evidence_in_words("id", evidence)


def _guess_group(free: Columns) -> tuple[str | None, str]:
    found: list[tuple[bool, int, Seen]] = []
    for column in free.values():
        words, named = set(column.words), is_thing(column)
        numbered = column.words[-1:] == ("id",) and column.distinct >= 2 * _FEW
        # Where hardly any row repeats, the name has to say that it is the number of something.
        sure = named and (bool(words & _NUMBERING) or is_numbering(column))
        is_repeated = column.distinct <= column.present * (1 - AGAIN if sure else 0.5)
        if (named or numbered) and column.distinct >= _FEW and is_repeated and _names_things(column):
            found.append((named, -column.distinct, column))
    if not found:
        return None, "no column names something that several rows belong to"
    _, _, best = max(found, key=lambda item: item[:2])
    rows = best.present / best.distinct
    return (
        best.name,
        f"{best.distinct:,} values, {rows:.1f} rows each on average; by its name, rows of one belong together",
    )


def _names_things(column: Seen) -> bool:
    if column.type == "number":  # whole numbers as a tool writes them where some are missing: 17850.0
        return bool((column.values.drop_nulls() == column.values.drop_nulls().round()).all())
    return column.type in {"integer", "category"}


def is_time_name(name: str) -> bool:
    """Return whether a column has the name of a time.

    Examples
    --------
    >>> [is_time_name(name) for name in ("pan_day", "julday", "t", "birthday", "end_date", "at_bat")]
    [True, True, True, False, False, False]
    """
    words = words_of(name)
    if words == ("t",) or words[-1:] == ("at",):  # created_at, but not at_bat
        return True
    if _NO_TIMES & {*words}:
        return False
    return bool({*words} & ((TIME_WORDS | COUNTED) - {"at"})) or any(word.endswith(_UNITS) for word in words)


def is_thing(column: Seen) -> bool:
    """Return whether a column has the name of something that rows belong to: sorted by it, rows lie in no order of time."""
    words = set(column.words)
    return bool(words & _ENTITIES) and words <= _ENTITIES | _NUMBERING


def is_named_id(column: Seen) -> bool:
    """Return whether whole numbers have the name of the number of something.

    Examples
    --------
    >>> import polars as pl
    >>> from linewright.data.profile.column import see
    >>> names = ("countyid", "id_of_shop", "ShopID", "paid", "county")
    >>> [is_named_id(see(pl.Series(name, ["1", "2"]))) for name in names]
    [True, True, True, False, False]
    """
    ids = (word == "id" or (word.endswith("id") and word not in _NO_IDS) for word in column.words)
    return column.type in NUMBERS and _names_things(column) and any(ids)


def is_named_thing(column: Seen) -> bool:
    """Return whether texts have the name of something that rows may belong to.

    Examples
    --------
    >>> import polars as pl
    >>> from linewright.data.profile.column import see
    >>> [is_named_thing(see(pl.Series(name, ["A", "B"]))) for name in ("business_name", "shop", "name", "shop_type")]
    [True, True, False, False]
    """
    words = set(column.words)
    things = _ENTITIES | _PLACES
    return column.type == "category" and bool(words & things) and words <= things | _NUMBERING | {"name"}


def id_evidence(column: Seen) -> dict[str, int | str]:
    """Return what shows that a column names rows rather than describes them; nothing where it does not.

    Examples
    --------
    >>> import polars as pl
    >>> from linewright.data.profile.column import see
    >>> id_evidence(see(pl.Series("instant", [str(i) for i in range(1, 101)])))
    {'form': 'running', 'low': 1, 'high': 100}
    >>> id_evidence(see(pl.Series("age", [str(i % 50) for i in range(100)])))
    {}
    >>> id_evidence(see(pl.Series("rownames", [str(i * i) for i in range(100)])))
    {'form': 'named'}
    """
    numbered = bool((_NUMBERING | _ROWS) & set(column.words))
    if column.type == "integer" and column.is_unique and column.present >= (1 if numbered else _FEW):
        return _integer_id(column, numbered=numbered)
    figures = {"values": column.distinct, "rows": column.present}
    if column.type in NUMBERS and is_numbering(column):
        low, high = map(str, column.ends)
        return {"form": "numbering", **figures, "low": low, "high": high}
    if column.type in {"category", "text"} and column.present >= _FEW:
        has_blanks = column.values.drop_nulls().str.contains(r"\s").mean()
        is_prose = isinstance(has_blanks, float) and has_blanks > 0.5
        if column.is_unique and not is_prose:
            return {"form": "own-text"}
        if column.type == "category" and column.distinct > max(0.9 * column.present, 2 * _FEW):
            return {"form": "texts", **figures}
    return {}


def is_numbering(column: Seen) -> bool:
    """Return whether whole numbers were given one after the other: most rows have one of their own, and hardly any is left out.

    Measurements do not look so. Of m numbers that are equally likely, n rows meet all but exp(-n/m); where they meet more
    than 91 %, fewer than four in ten rows have a number that no earlier row has.

    Examples
    --------
    >>> import polars as pl
    >>> from linewright.data.profile.column import see
    >>> is_numbering(see(pl.Series("who", [str(i * 7 % 300) for i in range(400)])))
    True
    >>> is_numbering(see(pl.Series("area", [str(i * i % 1009) for i in range(400)])))
    False
    """
    if column.type not in NUMBERS or column.present < _LEAST_NUMBERED or not _names_things(column):
        return False
    low, high = column.ends
    return column.distinct > _MOST_OWN * column.present and high - low < 1.1 * column.distinct


def _integer_id(column: Seen, *, numbered: bool) -> dict[str, int | str]:
    low, high = column.ends
    steps = column.values.diff().drop_nulls()
    if steps.min() == steps.max() == 1:
        return {"form": "running", "low": low, "high": high}
    if high - low < 1.1 * column.present:
        return {"form": "dense", "low": low, "high": high}
    return {"form": "named"} if numbered else {}


def name_evidence(column: Seen) -> dict[str, str]:
    """Return what the name of a column gives cause to ask; nothing for most names.

    Examples
    --------
    >>> import polars as pl
    >>> from linewright.data.profile.column import see
    >>> name_evidence(see(pl.Series("last_name", ["Ito", "Roy"])))
    {'form': 'people'}
    >>> name_evidence(see(pl.Series("rec_ver_tat", ["1.5", "2.5"])))
    {'form': 'afterwards', 'word': 'tat'}
    >>> name_evidence(see(pl.Series("prev_outcome", ["1", "2"]))), name_evidence(see(pl.Series("last", ["1", "2"])))
    ({}, {})
    """
    words = set(column.words)
    if column.type in {"category", "text"} and _has_names(words):
        return {"form": "people"}
    if (said := sorted(words & _AFTERWARDS)) and not words & _BEFORE:
        return {"form": "afterwards", "word": said[0]}
    return {}


def names_people(name: str) -> bool:
    """Return whether a column by its name holds names or numbers of people.

    Examples
    --------
    >>> [names_people(name) for name in ("last_name", "customerID", "user", "machine_id", "user_type")]
    [True, True, True, False, False]
    """
    words = set(words_of(name))
    return _has_names(words) or (bool(words & _PERSONS) and words <= _ENTITIES | _NUMBERING)


def _has_names(words: set[str]) -> bool:
    return bool(words & _FULL_NAMES) or ("name" in words and bool(words & (_PARTS_OF_NAMES | _PERSONS)))


def weight_evidence(column: Seen) -> dict[str, float]:
    """Return the median of what looks like a sampling weight; nothing of other columns."""
    low, middle = column.ends[0], column.values.median()
    if column.type not in NUMBERS or not isinstance(middle, float):
        return {}
    words = set(column.words)
    named = bool(words & _WEIGHTS) or (
        "weight" in words and bool(words & {"sample", "sampling", "survey", "final"})
    )
    return {"median": middle} if named and low > 0 and column.distinct > _FEW else {}
