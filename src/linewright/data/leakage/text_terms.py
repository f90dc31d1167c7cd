"""Words of a free text that tell a rare class: a report that was written afterwards says what came of it.

No statistic proves that a text was written too late: of the mails with 'prize' in them most are spam, and the mail is there first. So
the words are shown with their figures, and a person is asked.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.data.profile.association import Floats, Ints, Truth
from linewright.data.profile.column import percent

_WORD = r"[\p{L}\p{M}]{3,}"
_LEAST_ROWS = 20
_MOST_WORDS = 5_000
_MOST_BYTES = 20_000_000
"""Text that is looked at, about two seconds of a processor; of longer texts fewer rows are."""
_MOSTLY = 0.5
_TIMES = 10.0
_PURE_ROWS = 100
_PURE = 0.99
_COMMON = 0.6
_CHANCE = 0.001
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class _Telling:
    """A word whose rows are mostly of one class."""

    word: str
    rows: int
    name: str
    share: float
    elsewhere: float
    """Share of the class in the rows without the word."""


def telling_words(truth: Truth, text: pl.Series, group: pl.Series | None = None) -> str:
    """Say which words of a text tell one class of the label, or nothing where none does.

    A word tells a class where at least half of its rows are of it, and that is at least ten times as many as of the rows without the
    word, or 99 % of at least 100 rows. A class that most rows have anyway is told by none. Chance is ruled out for all words and classes together.

    Parameters
    ----------
    truth
        A label of n rows; of numbers nothing is said.
    text
        The n texts, or gaps.
    group
        What each of the n rows belongs to: then a word of fewer than 20 groups counts for nothing, as the name of one patient does.

    Returns
    -------
    str
        What the words tell, with its figures. Of very long texts only some rows are looked at, and the sentence says so.

    Examples
    --------
    >>> codes = (np.arange(2_000) % 50 == 0).astype(np.int64)
    >>> truth = Truth(form="two", codes=codes, ranks=np.zeros(2_000), classes=("no", "yes"))
    >>> text = pl.Series(["take-off REJECTED" if code else "a bird was seen" for code in codes])
    >>> telling_words(truth, text)
    "of the 40 rows with 'off' in it 100 % are 'yes' (0 % of the other rows), and 2 words more tell as much"
    """
    if truth.form == "number":
        return ""
    every = max(1, -(-int(text.str.len_bytes().sum()) // _MOST_BYTES))
    frame = pl.DataFrame({"text": text, "code": truth.codes}).with_columns(
        group=pl.int_range(pl.len()) if group is None else group
    )
    found = _telling(truth, frame.gather_every(every))
    if not found:
        return ""
    # A word for each of some classes says more than as many for one.
    best: dict[str, _Telling] = {}
    for one in found:
        best.setdefault(one.name, one)
    first, *further = [*best.values()][:_SHOWN]
    more = len(found) - len(further) - 1
    return "".join(
        [
            f"of the {first.rows:,} rows with {first.word!r} in it {percent(first.share)} are {first.name!r} ",
            f"({percent(first.elsewhere)} of the other rows)",
            *(
                f", of the {one.rows:,} with {one.word!r} {percent(one.share)} {one.name!r} ({percent(one.elsewhere)})"
                for one in further
            ),
            f", and {more:,} word{'s more tell' if more > 1 else ' more tells'} as much" if more else "",
            f" (in one row of {every:,})" if every > 1 else "",
        ]
    )


def _telling(truth: Truth, frame: pl.DataFrame) -> list[_Telling]:
    """Return the words that tell a class, the surest first."""
    words = (
        frame.drop_nulls("text")
        .select(
            "code",
            "group",
            pl.col("text").str.to_lowercase().str.extract_all(_WORD).list.unique().alias("word"),
        )
        .explode("word")
        .drop_nulls("word")
    )
    each = words.group_by("word").agg(pl.len().alias("rows"), pl.col("group").n_unique().alias("groups"))
    each = each.filter(pl.col("groups") >= _LEAST_ROWS)
    each = each.sort(["rows", "word"], descending=[True, False]).head(_MOST_WORDS)
    whole = np.bincount(frame["code"].to_numpy(), minlength=len(truth.classes))
    pairs = (
        words.join(each, on="word")
        .group_by("word", "code", "rows")
        .agg(pl.len().alias("hits"))
        .filter(pl.col("hits") >= _MOSTLY * pl.col("rows"))
        .sort("word", "code")
    )
    code, rows, hits = (pairs[name].to_numpy().astype(np.int64) for name in ("code", "rows", "hits"))
    base = whole[code] / frame.height
    share, elsewhere = hits / rows, (whole[code] - hits) / np.maximum(frame.height - rows, 1)
    is_far = (share >= _TIMES * elsewhere) | ((share >= _PURE) & (rows >= _PURE_ROWS))
    sure = _surprise(rows, share, base)
    # Every word was tried for every class.
    is_told = is_far & (base <= _COMMON) & (sure > math.log(max(each.height, 1) * len(whole) / _CHANCE))
    order = [at for at in np.argsort(-sure, kind="stable").tolist() if is_told[at]]
    names = pairs["word"].to_list()
    return [
        _Telling(
            word=names[at],
            rows=int(rows[at]),
            name=truth.classes[code[at]],
            share=float(share[at]),
            elsewhere=float(elsewhere[at]),
        )
        for at in order
    ]


def _surprise(rows: Ints, share: Floats, base: Floats) -> Floats:
    """Return how surely a share is above that of all rows: chance reaches it with a probability of exp(-surprise) at most.

    The bound is Chernoff's; by Hoeffding it holds where rows are drawn without putting them back, too.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - base)), 0.0)
        return np.where(share > base, rows * (share * np.log(share / base) + rest), 0.0)
