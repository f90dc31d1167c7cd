"""A result's fields as parts of a page: lists of definitions, tables, links. Nothing that is stored is shown as JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_SENTENCES = ("because", "why", "says", "chosen_because", "gate", "name", "column", "metric")
"""Fields that are read first."""
_UNREAD = frozenset({"kind", "version"})
"""Fields of every result, of which the page tells otherwise."""
_IN_ORDER = ("name", "value", "low", "high", "bar", "n")
"""Fields of a figure, in the order in which they are read."""
_FOR_PROGRAMS = frozenset(
    {
        "fold_salt",
        "parts",
        "native",
        "golden",
        "graph",
        "graph_bytes",
        "seed",
        "libraries",
        "clusters",
        "cluster_kind",
    }
)
"""Fields that nobody reads; neither are empty ones, and digests that stand for no result."""
_NAMES = {
    "n": "rows",
    "says": "what was found",
    "why": "reason",
    "train": "training rows",
    "test": "test rows",
    "rival": "compared with",
    "excluded": "rows left out",
    "more_rows": "more rows needed",
    "more_groups": "more groups needed",
    "is_mixed": "mixed",
    "redecided": "decided otherwise",
    "unlabelled": "rows without a label",
    "copies": "copies of rows",
    "half_width": "half width of the interval",
}
"""Fields whose name says little by itself."""
_NO_RESULT = frozenset({"content", "rows", "gates", "native", "change", "hash", "previous"})
"""Fields whose digests stand for no result: there is nothing to go to."""
MOST_PARTS = 1_500
"""Parts that one page shows of a result."""
MOST_ITEMS = 60
"""Items that it shows of one list."""
MOST_TEXT = 600
_DEEP, _FEW = 3, 6

Form = Literal[
    "nothing", "text", "number", "boolean", "instant", "digest", "line", "run", "facts", "table", "list"
]


@dataclass(frozen=True, kw_only=True)
class View:
    """A value as a page shows it."""

    form: Form
    value: Any = None
    """Of a value alone."""
    facts: tuple[tuple[str, "View"], ...] = ()
    """Of an object: name and value of each field, a sentence first."""
    more: tuple[tuple[str, "View"], ...] = ()
    """Of the whole, fields that only a program needs, and empty ones."""
    head: tuple[str, ...] = ()
    rows: tuple[tuple["View", ...], ...] = ()
    """Of objects with the same fields."""
    items: tuple["View", ...] = ()
    """Of any other list."""
    left_out: int = 0
    """Items or fields that are not shown."""
    is_deep: bool = False
    """Whether it is folded away."""

    @property
    def is_plain(self) -> bool:
        """Whether it takes one place on a line."""
        return self.form not in {"facts", "table", "list"}


@dataclass
class _Budget:
    left: int = field(default=MOST_PARTS)

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def view_of(value: Any) -> View:
    """Return a JSON value as parts of a page; of very many fields and items the first.

    Examples
    --------
    >>> shown = view_of({"kind": "split", "train": 80, "by": "time", "why": "it has a time column"})
    >>> [(name, each.form, each.value) for name, each in shown.facts]
    [('why', 'text', 'it has a time column'), ('by', 'text', 'time'), ('train', 'number', 80)]
    >>> table = view_of([{"name": "a", "n": 1}, {"name": "b", "n": None}])
    >>> table.head, [[cell.value for cell in row] for row in table.rows]
    (('name', 'n'), [['a', 1], ['b', None]])
    """
    return _view("", value, 0, _Budget())


def words_of(name: str) -> str:
    """Return the name of a field as words.

    Examples
    --------
    >>> words_of("label_before"), words_of("model")
    ('label before', 'model')
    """
    return name.replace("_", " ").strip()


def name_of(field: str) -> str:
    """Return the name of a stored field as people read it.

    Examples
    --------
    >>> name_of("n"), name_of("label_before")
    ('rows', 'label before')
    """
    return _NAMES.get(field) or words_of(field)


def _ordered(names: Sequence[str]) -> list[str]:
    """Return names with those of a figure in the order in which it is read, at the places that they had.

    Examples
    --------
    >>> _ordered(["high", "loss", "low", "n", "value"])
    ['value', 'loss', 'low', 'high', 'n']
    """
    figures = iter(sorted((name for name in names if name in _IN_ORDER), key=_IN_ORDER.index))
    return [next(figures) if name in _IN_ORDER else name for name in names]


def _is_read(name: str, value: Any) -> bool:
    is_digest = isinstance(value, str) and _DIGEST.fullmatch(value) is not None
    is_empty = value is None or value in ("", [], {})
    return not (is_empty or name in _FOR_PROGRAMS or (is_digest and name in _NO_RESULT))


def _view(name: str, value: Any, depth: int, budget: _Budget) -> View:
    if isinstance(value, Mapping):
        return _facts(value, depth, budget)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _items(name, value, depth, budget)
    budget.take()
    if value is None or value == "":
        return View(form="nothing")
    if isinstance(value, bool):
        return View(form="boolean", value=value)
    if isinstance(value, int | float):
        return View(form="number", value=value)
    text = str(value)
    if _DIGEST.fullmatch(text):
        return View(form="text" if name in _NO_RESULT else "digest", value=text)
    if _INSTANT.fullmatch(text):
        return View(form="instant", value=text)
    if name in {"line", "run"}:
        return View(form="line" if name == "line" else "run", value=text)
    return View(form="text", value=text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…")


def _facts(value: Mapping[str, Any], depth: int, budget: _Budget) -> View:
    names = [name for name in value if depth or name not in _UNREAD]
    details = [name for name in _SENTENCES if name in names]
    names = [*details, *sorted(name for name in names if name not in details)] if depth < 1 else names
    names = _ordered(names)
    facts: list[tuple[str, View]] = []
    for name in names:
        if not budget.take():
            break
        facts.append((name, _view(name, value[name], depth + 1, budget)))
    left = len(names) - len(facts)
    if not names:
        return View(form="nothing")
    is_read = {name: depth > 0 or _is_read(name, value[name]) for name, _ in facts}
    return View(
        form="facts",
        facts=tuple(each for each in facts if is_read[each[0]]),
        more=tuple(each for each in facts if not is_read[each[0]]),
        left_out=left,
        is_deep=depth >= _DEEP,
    )


def _items(name: str, value: Sequence[Any], depth: int, budget: _Budget) -> View:
    shown = value[:MOST_ITEMS]
    if not shown:
        return View(form="nothing")
    if all(isinstance(each, Mapping) for each in shown):
        head = _ordered(list(dict.fromkeys(key for each in shown for key in each)))
        head = [*(key for key in _SENTENCES if key in head), *(key for key in head if key not in _SENTENCES)]
        rows: list[tuple[View, ...]] = []
        for each in shown:
            if not budget.take():
                break
            rows.append(tuple(_view(key, each.get(key), depth + 2, budget) for key in head))
        left = len(value) - len(rows)
        return View(form="table", head=tuple(head), rows=tuple(rows), left_out=left, is_deep=depth >= _DEEP)
    items: list[View] = []
    for each in shown:
        if not budget.take():
            break
        items.append(_view(name, each, depth + 1, budget))
    left = len(value) - len(items)
    is_short = not left and len(items) <= _FEW and all(each.is_plain for each in items)
    return View(form="list", items=tuple(items), left_out=left, is_deep=depth >= _DEEP and not is_short)
