"""Masks what differs between two runs of the same code: times, ids, durations, paths, sizes and the names of the machine."""

import re
import socket
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

from linewright.store.clock import user

_ID = re.compile(
    r"(?:sha256:)?\b(?P<digest>[0-9a-f]{64})\b"
    r"|\b(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
    r"|(?<![\w.])(?P<short>[0-9a-f]{12}|[0-9a-f]{8})(?![\w.])"
)
_SECRET = re.compile(r"(?P<secret>\blw[a-z]*_[A-Za-z0-9_-]{20,})")
_TIME = re.compile(
    r"\b(?P<day>20\d\d-\d\d-\d\d)(?:[T ]\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?)?(?P<zone>Z|\+00:00| UTC)?"
)
_FLOAT = re.compile(r"(?<![\w.])(?<!\d:)-?\d+\.\d+(?:e[+-]?\d+)?(?![\w.]*\d)")
_LIBRARIES = "[Ll]inewright|lightgbm|numpy|onnx|optuna|scikit-learn|scipy|xgboost-cpu"
_DRAWN = re.compile(r"<(svg|style|script)\b.*?</\1>", re.DOTALL)
_SHORT = 12
_DIGITS = 4
_NEVER = 2900
"""From this year on a date says that something does not end."""


class Masks:
    """Masks of one case, whose ids are numbered in order of appearance.

    Parameters
    ----------
    begun
        The day on which the oldest thing that is shown was made; days before it stay.
    """

    def __init__(self, begun: date) -> None:
        self._begun = begun - timedelta(days=1)
        self._ids: dict[str, str] = {}

    def text(self, text: str, places: Mapping[str, str]) -> str:
        """Mask a text, and paths and other words in it by what stands for them."""
        text = _SECRET.sub(self._id, text)  # one may hold the name of the machine by chance
        names = {**places, user(): "<user>", socket.gethostname(): "<host>"}
        for old in sorted(names, key=len, reverse=True):
            text = re.sub(
                rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", lambda _, new=names[old]: new, text
            )
        for pattern, new in _AMOUNTS:
            text = pattern.sub(new, text)
        text = _ID.sub(self._id, text)
        text = _TIME.sub(self._time, text)
        return _FLOAT.sub(_rounded, text)

    def _id(self, found: re.Match[str]) -> str:
        text = next(one for one in found.groups() if one is not None)
        key = text[:_SHORT] if found.lastgroup == "digest" else text
        return self._ids.setdefault(key, f"<id {len(self._ids) + 1}>")

    def _time(self, found: re.Match[str]) -> str:
        try:
            day = date.fromisoformat(found.group("day"))
        except ValueError:
            return found.group()
        return found.group() if day < self._begun or day.year > _NEVER else "<time>"


def without_drawings(text: str) -> str:
    """Put digests in the place of what a library or a stylesheet makes of a page."""
    return _DRAWN.sub(lambda found: f"<{found[1]} {sha256(found[0].encode()).hexdigest()[:_SHORT]}>", text)


def mask_groups(text: str, patterns: Iterable[str]) -> str:
    """Mask what the first group of each pattern finds."""
    for pattern in patterns:
        text = re.sub(pattern, lambda found: found[0].replace(found[1], "<amount>"), text)
    return text


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found.group()):.{_DIGITS}g}"


_AMOUNTS = (
    (re.compile(r'("(?:wall_s|cpu_s|peak_bytes)": ?)[\d.e+-]+'), r"\1<amount>"),
    (re.compile(r"\b[\d.,]+ (CPU s|KiB|MiB|GiB)\b"), r"<amount> \1"),
    (re.compile(rf"\b({_LIBRARIES}) \d+(\.\d+)+"), r"\1 <version>"),
)


def folder_of(base: Path, name: str, *, length: int) -> Path:
    """Return a path of exactly so many characters: a message that holds one is broken by its length."""
    short = base / name
    missing = length - len(str(short))
    if missing < 0:
        raise ValueError(f"{base} is too long; run the tests with a shorter --basetemp")
    return short.with_name(name + "-" * missing)
