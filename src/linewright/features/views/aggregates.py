"""What a column of a feature view computes: ``sum(amount) over 30d`` and the like, parsed.

The text is the exchange form: `read_aggregate` reads `Aggregate.text` back as an equal value.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from linewright.errors import SpecError
from linewright.text.durations import duration_micros
from linewright.text.suggest import listed, nearest

Kind = Literal["number", "integer", "boolean", "category"]
"""Types of the columns that a view reads and makes: some of `data.spec.ColumnType`."""
Constant = str | float | bool


class _Form(NamedTuple):
    """How a function is written."""

    argument: Literal["numbers", "column", "condition", "any", "any or none", "none"]
    is_windowed: bool
    example: str


_FORMS: Mapping[str, _Form] = {
    "sum": _Form("numbers", True, "sum(amount) over 30d"),
    "mean": _Form("numbers", True, "mean(amount) over 30d"),
    "min": _Form("numbers", True, "min(amount) over 30d"),
    "max": _Form("numbers", True, "max(amount) over 30d"),
    "count": _Form("any or none", True, "count() over 7d"),
    "distinct": _Form("column", True, "distinct(merchant) over 30d"),
    "share": _Form("condition", True, "share(method = 'card') over 30d"),
    "last": _Form("any", False, "last(amount)"),
    "since": _Form("none", False, "since()"),
}
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<duration>\d+(?:\.\d+)?(?:us|ms|[smhdw])(?!\w))
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><>|!=|<=|>=|[=<>(),])""",
    re.VERBOSE,
)
_RESERVED = frozenset({"and", "in", "is", "not", "null", "over", "true", "false", "or"})
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = (("w", 604_800 * 10**6), ("d", 86_400 * 10**6), ("h", 3600 * 10**6), ("m", 60 * 10**6), ("s", 10**6))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One comparison of a column with constants.

    Examples
    --------
    >>> one = Comparison(column="method", sign="in", constants=("card", "cash"))
    >>> one.text, one.holds("card"), one.holds(None)
    ("method in ('card', 'cash')", True, None)
    """

    column: str
    sign: str
    """``=``, ``<>``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not in``, ``is null`` or ``is not null``."""
    constants: tuple[Constant, ...] = ()
    """One; for ``in`` one or more of one type; for ``is null`` none."""

    @property
    def text(self) -> str:
        """The comparison as it is written."""
        name, constants = _name_text(self.column), ", ".join(map(_constant_text, self.constants))
        if not self.constants:
            return f"{name} {self.sign}"
        return (
            f"{name} {self.sign} ({constants})"
            if self.sign.endswith("in")
            else f"{name} {self.sign} {constants}"
        )

    def holds(self, value: Constant | None) -> bool | None:
        """Return whether a value passes; `None` if it has nothing to compare, as in SQL."""
        if self.sign.startswith("is "):
            return (value is None) == (self.sign == "is null")
        if value is None:
            return None
        if self.sign.endswith("in"):
            return (value in self.constants) == (self.sign == "in")
        return bool(_COMPARISONS[self.sign](value, self.constants[0]))

    @property
    def needs(self) -> str:
        """What the column must be: ``number``, ``boolean``, ``category``, or nothing for any."""
        if not self.constants:
            return ""
        one = self.constants[0]
        return "boolean" if isinstance(one, bool) else "category" if isinstance(one, str) else "number"


@dataclass(frozen=True, kw_only=True)
class Argument:
    """What a function is about: a column, or a condition that is a column of true and false.

    Examples
    --------
    >>> Argument(condition=(Comparison(column="amount", sign=">", constants=(10.0,)),)).of_row({"amount": 12})
    True
    """

    column: str = ""
    condition: tuple[Comparison, ...] = ()
    """Comparisons all of which must hold; empty for a column."""

    @cached_property
    def text(self) -> str:
        """The argument as it is written; names its values in `windows.Events`."""
        return " and ".join(one.text for one in self.condition) if self.condition else _name_text(self.column)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that it reads."""
        return (
            tuple(dict.fromkeys(one.column for one in self.condition)) if self.condition else (self.column,)
        )

    def of_row(self, row: Mapping[str, Any]) -> Constant | None:
        """Return the value of the argument in one row of typed values; `None` for null."""
        if not self.condition:
            return row.get(self.column)
        held = [one.holds(row.get(one.column)) for one in self.condition]
        return False if False in held else None if None in held else True

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        """Return its type, from those of the columns of the source."""
        return "boolean" if self.condition else kinds[self.column]


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """One column of a view.

    Examples
    --------
    >>> one = read_aggregate("cards", "share( method='card' )  over 30d")
    >>> one.text, one.over
    ("share(method = 'card') over 30d", 2592000000000)
    """

    name: str
    function: str
    """One of `FUNCTIONS`."""
    argument: Argument | None = None
    over: int | None = None
    """Length of the window in microseconds: events of (T - over, T] count at T. `None`: all, of ``last`` and ``since`` alone."""

    @cached_property
    def text(self) -> str:
        """The column as it is written."""
        argument = "" if self.argument is None else self.argument.text
        window = "" if self.over is None else f" over {duration_text(self.over)}"
        return f"{self.function}({argument}){window}"

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        """Return the type of the column, from those of the columns of the source."""
        if self.function in {"count", "distinct"}:
            return "integer"
        if self.function == "last" and self.argument is not None:
            return self.argument.kind(kinds)
        return "number"

    def refuse_types(self, kinds: Mapping[str, str], where: str) -> None:
        """Refuse columns that the source lacks, or whose type does not suit."""
        if self.argument is None:
            return
        refuse_columns(self.argument, kinds, f"{where}.{self.name}")
        kind = kinds[self.argument.column] if self.argument.column else "boolean"
        if self.function in NUMERIC and kind not in {"number", "integer"}:
            raise SpecError(
                f"{self.function} is of numbers, and {self.argument.column!r} is a {kind}",
                where=f"{where}.{self.name}",
                found=self.text,
                allowed="a column of numbers",
                hint="use count, distinct, share or last, or make a number of it in the query of the source",
            )


FUNCTIONS = tuple(_FORMS)
NUMERIC = frozenset(name for name, form in _FORMS.items() if form.argument == "numbers")
"""Functions of numbers."""


def refuse_columns(argument: Argument, kinds: Mapping[str, str], where: str) -> None:
    """Refuse columns of an argument that the source lacks or that no view can read, and constants of another type."""
    for name in argument.columns:
        if name not in kinds:
            near = nearest(name, kinds)
            raise SpecError(
                "the source has no such column",
                where=where,
                found=name,
                allowed=listed(list(kinds)),
                hint=f"did you mean {near!r}?"
                if near
                else "name a column of the source, or make it in its query",
            )
    readable = {"number", "integer", "boolean", "category", "text"}
    for name in argument.columns:
        if kinds[name] not in readable:
            raise SpecError(
                f"a view does not read columns of this type: {name!r} is a {kinds[name]}",
                where=where,
                found=kinds[name],
                allowed="numbers, booleans and text",
                hint="make a number or text of it in the query of the source; since() gives the time since the newest row",
            )
    for one in argument.condition:
        kind = {"integer": "number", "text": "category"}.get(kinds[one.column], kinds[one.column])
        if one.needs and one.needs != kind:
            constant = one.constants[0]
            raise SpecError(
                f"{one.column!r} is a {kinds[one.column]}, and this compares it with another type",
                where=where,
                found=one.text,
                allowed={"number": "a number", "boolean": "true or false"}.get(
                    kind, "a text in single quotes"
                ),
                hint=f"write '{constant:g}'" if kind == "category" and isinstance(constant, float) else "",
            )


def read_aggregate(name: str, text: str, *, where: str = "", ttl: int | None = None) -> Aggregate:
    """Read a column as it is written.

    Examples
    --------
    >>> read_aggregate("n", "count(amount > 10 and method in ('card', 'cash')) over 1.5h").text
    "count(amount > 10 and method in ('card', 'cash')) over 90m"
    """
    reader = _Reader(text, where)
    word = reader.word("a function")
    if word not in _FORMS:
        near = nearest(word, _FORMS)
        raise reader.mistake(
            "unknown function",
            found=word,
            allowed=", ".join(f"{one}()" for one in _FORMS),
            hint=f"did you mean {near!r}?" if near else "make other columns in the query of the source",
        )
    form = _FORMS[word]
    reader.sign("(")
    argument = None if reader.is_next(")") else reader.argument()
    reader.sign(")")
    over = reader.window()
    reader.end()
    if argument is None and form.argument not in {"none", "any or none"}:
        raise reader.mistake(f"{word} needs to know of what", allowed=form.example)
    if argument is not None and not _suits(form, argument):
        raise reader.mistake(
            f"{word} is not of {'a condition' if argument.condition else 'a column'}", allowed=form.example
        )
    if over is None and form.is_windowed:
        raise reader.mistake(
            f"{word} needs a window", allowed=form.example, hint=f"write {text.strip()} over 30d"
        )
    if over is not None and word == "since":
        raise reader.mistake("since() has no window", hint="write since()")
    return Aggregate(
        name=name, function=word, argument=argument, over=over or (ttl if word == "last" else None)
    )


def read_condition(text: str, *, where: str = "") -> Argument:
    """Read a condition, e.g. of `where`."""
    reader = _Reader(text, where)
    found = reader.argument()
    reader.end()
    if not found.condition:
        raise reader.mistake("not a condition", allowed="e.g. status <> 'test'")
    return found


def duration_text(micros: int) -> str:
    """Return a duration as it is written, in the largest unit that has no fraction; weeks as days.

    Examples
    --------
    >>> duration_text(30 * 86_400_000_000), duration_text(5_400_000_000), duration_text(7)
    ('30d', '90m', '7us')
    """
    return next((f"{micros // size}{unit}" for unit, size in _UNITS[1:] if micros % size == 0), f"{micros}us")


def _suits(form: _Form, argument: Argument) -> bool:
    if form.argument in {"numbers", "column"}:
        return not argument.condition
    return bool(argument.condition) if form.argument == "condition" else form.argument != "none"


def _name_text(name: str) -> str:
    is_plain = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in _RESERVED
    return name if is_plain else '"' + name.replace('"', '""') + '"'


def _constant_text(value: Constant) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


class _Reader:
    """Reads the words of one expression from left to right."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where, self._at = text, where, 0
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.mistake("this cannot be read", found=text[at:])
            self._tokens.append((str(found.lastgroup), found.group()))
            at = found.end()

    def mistake(self, what: str, *, found: str | None = None, allowed: str = "", hint: str = "") -> SpecError:
        """Return the error to raise."""
        return SpecError(
            what,
            where=self._where,
            found=self._text if found is None else found,
            allowed=allowed
            or "e.g. sum(amount) over 30d, share(method = 'card') over 7d, last(amount), since()",
            hint=hint,
        )

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._next
        self._at += 1
        return token

    def _is_word(self, *words: str) -> bool:
        return self._next[0] == "word" and self._next[1].lower() in words

    def is_next(self, sign: str) -> bool:
        """Return whether this sign comes next."""
        return self._next == ("sign", sign)

    def word(self, what: str) -> str:
        """Take a word that is not reserved."""
        kind, text = self._take()
        if kind != "word" or text.lower() in _RESERVED:
            raise self.mistake(f"here should be {what}", found=text or self._text)
        return text.lower()

    def sign(self, sign: str) -> None:
        """Take a sign."""
        kind, text = self._take()
        if (kind, text) != ("sign", sign):
            raise self.mistake(f"here should be {sign!r}", found=text or self._text)

    def end(self) -> None:
        """Refuse further words."""
        if self._at < len(self._tokens):
            raise self.mistake("this is too much", found=self._next[1])

    def window(self) -> int | None:
        """Take ``over`` and a duration, if they come."""
        if not self._is_word("over"):
            return None
        self._take()
        kind, text = self._take()
        if kind != "duration":
            raise self.mistake("not a window", found=text or self._text, allowed="e.g. 30d, 12h, 15m")
        micros = duration_micros(text)
        if not 0 < micros < 2**62:
            raise self.mistake("no window is so long", found=text, allowed="above 0, e.g. 30d, 12h, 15m")
        return micros

    def argument(self) -> Argument:
        """Take a column or a condition."""
        name = self._column()
        if self.is_next(")") or self._next[0] == "end":
            return Argument(column=name)
        tests = [self._comparison(name)]
        while self._is_word("and"):
            self._take()
            tests.append(self._comparison(self._column()))
        if self._is_word("or"):
            raise self.mistake(
                "conditions are joined by `and` alone",
                hint="use in (…), or make a column in the query of the source",
            )
        return Argument(condition=tuple(tests))

    def _column(self) -> str:
        kind, text = self._take()
        if kind == "quoted":
            return text[1:-1].replace('""', '"')
        if kind != "word" or text.lower() in _RESERVED:
            raise self.mistake("here should be the name of a column", found=text or self._text)
        return text

    def _comparison(self, name: str) -> Comparison:
        kind, text = self._take()
        if kind == "sign" and text in {*_COMPARISONS, "!="}:
            sign = "<>" if text == "!=" else text
            constant = self._constant()
            if isinstance(constant, bool) and sign not in {"=", "<>"}:
                raise self.mistake("true and false are neither more nor less", found=f"{name} {text}")
            return Comparison(column=name, sign=sign, constants=(constant,))
        if kind == "word" and text.lower() == "is":
            return Comparison(
                column=name, sign=f"is {'not ' if self._takes('not') else ''}{self._needs('null')}"
            )
        is_not = kind == "word" and text.lower() == "not"
        if (is_not and self._takes("in")) or (kind == "word" and text.lower() == "in"):
            return Comparison(column=name, sign="not in" if is_not else "in", constants=self._constants())
        raise self.mistake(
            "here should be a comparison",
            found=text or self._text,
            allowed="=, <>, <, <=, >, >=, in (…), is null",
        )

    def _takes(self, word: str) -> bool:
        found = self._is_word(word)
        self._at += found
        return found

    def _needs(self, word: str) -> str:
        if not self._takes(word):
            raise self.mistake(f"here should be {word!r}", found=self._next[1] or self._text)
        return word

    def _constants(self) -> tuple[Constant, ...]:
        self.sign("(")
        found = [self._constant()]
        while self.is_next(","):
            self._take()
            found.append(self._constant())
        self.sign(")")
        if len({type(one) for one in found}) > 1:
            raise self.mistake("constants of different types are compared with one column")
        return tuple(found)

    def _constant(self) -> Constant:
        kind, text = self._take()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        if kind == "word" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise self.mistake(
            "here should be a constant",
            found=text or self._text,
            allowed="a number, a text in single quotes, true or false",
            hint=f"write '{text}'" if kind == "word" else "",
        )
