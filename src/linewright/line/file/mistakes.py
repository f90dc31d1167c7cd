"""What is wrong with a line file, each mistake with its place; all of them become one error."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

from linewright.errors import SpecError
from linewright.text.suggest import nearest

MOST = 100
"""Mistakes after which nobody looks on: more are not mended at once, and one MiB has room for 80,000."""
_MOST_FOUND, _MOST_SAID = 200, 400
"""Characters that an error has of what the file says, and in a sentence about it: a link may lead to any file, whose text is not ours to
tell."""
Path = tuple[str | int, ...]
"""Words and positions on the way from the whole file to a value."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that the line file may not say."""

    path: str
    """Where in the declaration, e.g. ``"gates[1].metric"``; empty for the whole file."""
    line: int
    column: int
    """Place of the key or value that is wrong, both from 1."""
    what: str
    found: str | int | float | bool | None = None
    allowed: str = ""
    hint: str = ""


class EnoughError(Exception):
    """So many mistakes were found that looking on helps nobody."""


@dataclass
class Mistakes:
    """The mistakes of one file, collected so that a person sees all of them at once, or the first hundred."""

    name: str
    """The file, as people know it."""
    found: list[Mistake] = field(default_factory=list[Mistake])
    is_enough: bool = False
    """Whether there are more than are told."""
    whole: str = "the line file"
    """What the file is, for messages about all of it."""
    site: str = ""
    """Of a file with sites, whose line it is about."""

    def add(self, mistake: Mistake) -> None:
        """Note one more mistake."""
        if len(self.found) == MOST:
            self.is_enough = True
            raise EnoughError
        found = cut(mistake.found, _MOST_FOUND) if isinstance(mistake.found, str) else mistake.found
        said = {name: cut(getattr(mistake, name), _MOST_SAID) for name in ("path", "what", "hint")}
        self.found.append(replace(mistake, found=found, **said))

    def raise_if_any(self) -> None:
        """Raise the first mistake in the order of the file, with all of them in its details."""
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda mistake: (mistake.line, mistake.column))
        errors = [{**self._error(mistake).to_json(), **asdict(mistake)} for mistake in ordered]
        of = f"more than {MOST}" if self.is_enough else f"{len(ordered)}"
        first = self._error(ordered[0], f" (the first of {of} mistakes)" if len(ordered) > 1 else "")
        first.details = {"errors": errors}
        raise first

    def _error(self, mistake: Mistake, more: str = "") -> SpecError:
        return SpecError(
            mistake.what + (f" (site {self.site!r})" if self.site else "") + more,
            where=f"{self.name}:{mistake.line}:{mistake.column}",
            found=mistake.found,
            allowed=mistake.allowed,
            hint=mistake.hint,
        )


def cut(text: str, most: int) -> str:
    """Return a text, or its beginning where it is longer than `most` characters.

    Examples
    --------
    >>> cut("tran", 10), cut("trainers", 5)
    ('tran', 'train…')
    """
    return text if len(text) <= most else f"{text[:most]}…"


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return the hint that names the nearest word, or nothing."""
    close = nearest(word, words)
    return f"did you mean {close!r}?" if close else ""


def either(words: Sequence[str]) -> str:
    """Join words for people.

    Examples
    --------
    >>> either(["quick", "normal", "thorough"])
    'quick, normal or thorough'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def dotted(path: Path) -> str:
    """Write a path as people do.

    Examples
    --------
    >>> dotted(("gates", 1, "metric"))
    'gates[1].metric'
    """
    words = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(words).lstrip(".")
