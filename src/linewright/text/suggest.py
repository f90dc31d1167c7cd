"""What a person probably meant: the nearest of the names that there are, and a list of them."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

_LIKE = 0.65
"""Likeness of two words of which one may be meant for the other: "nope" is no slip for "income" (0.6)."""
_LIKE_WITHIN = 0.6
"""The same where one holds the other: "auc" is short for "roc_auc"."""
_LIKE_FILES = 0.75


def listed(names: Sequence[str], most: int = 30) -> str:
    """Return names for a message, which says where it leaves some out.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["a", "b", "c"], 2)
    ('a, b', 'a, b, …')
    """
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that `word` was probably meant to be; capitals do not matter.

    Examples
    --------
    >>> nearest("Tran", ["train", "label"])
    'train'
    >>> nearest("auc", ["rmse", "roc_auc"])
    'roc_auc'
    >>> nearest("nope", ["income", "label"]) is None
    True
    """
    by_lower: dict[str, str] = {}
    for candidate in words:
        by_lower.setdefault(candidate.lower(), candidate)
    low = word.lower()
    for close in difflib.get_close_matches(low, by_lower, n=3, cutoff=_LIKE_WITHIN):
        if low in close or close in low or difflib.SequenceMatcher(None, low, close).ratio() >= _LIKE:
            return by_lower[close]
    return None


def near_file(path: Path, *, written: str = "") -> str:
    """Ask for a file of a similar name in the same folder; say nothing where there is none.

    Names are compared without their endings, which would make all CSV files alike; another ending makes another file,
    unless the name is the same.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("voters.csv", "sales.csv.gz"):
    ...     (folder / name).touch()
    >>> near_file(folder / "voter.csv"), near_file(folder / "sales.csv"), near_file(folder / "a.csv")
    ("did you mean 'voters.csv'?", "did you mean 'sales.csv.gz'?", '')
    """
    beside = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    stem, _, ending = path.name.lower().partition(".")
    names: dict[str, str] = {}
    for name in beside:
        other, _, its = name.lower().partition(".")
        if other and (its == ending or other == stem):
            names.setdefault(other, name)
    close = difflib.get_close_matches(stem, names, n=1, cutoff=_LIKE_FILES)
    if not close:
        return ""
    name = names[close[0]]
    return f"did you mean {str(Path(written).with_name(name)) if written else name!r}?"
