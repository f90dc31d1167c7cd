"""For how long is kept what a line has stored: what its file says, else `factory.yaml`, and never less than the line needs."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from linewright.line.file.mistakes import Path
from linewright.line.spec import KeepSpec, LineSpec
from linewright.store.clock import text_of
from linewright.text.durations import duration_micros

LONGEST = "1000y"
"""Ages are subtracted from the year it is now."""


def kept_of(spec: LineSpec, everywhere: KeepSpec) -> KeepSpec:
    r"""Return for how long is kept what a line has stored.

    Examples
    --------
    >>> from linewright.line.file.read import parse_line
    >>> line = "line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\nkeep: {log: 30d}\n"
    >>> kept_of(parse_line(line, name="a.yaml"), KeepSpec(log="1y", datasets=5))
    KeepSpec(log='30d', datasets=5, runs=None)
    """
    own = {} if spec.keep is None else spec.keep.model_dump(exclude_none=True)
    return everywhere.model_copy(update=own)


def needed_of(spec: LineSpec) -> Mapping[str, str]:
    """Return the durations, by the part of the line file that says them, whose sum an answer must be kept for.

    Its label comes after the delay, and the window in which it comes is closed after that.
    """
    return {
        name: text
        for name, text in (
            ("label.delay", spec.label.delay),
            ("watch.every", spec.watch.every if spec.watch else None),
        )
        if text is not None
    }


def needed_micros(spec: LineSpec) -> int:
    """Return for how long an answer must be kept, in microseconds."""
    return sum(map(duration_micros, needed_of(spec).values()))


def before(now: str, micros: int) -> str:
    """Return the instant that lies so many microseconds before another."""
    return text_of(datetime.fromisoformat(now) - timedelta(microseconds=micros))


def log_before(spec: LineSpec, keep: KeepSpec, now: str) -> str | None:
    """Return the instant before which answers go; `None` where all are kept. What the line needs is kept, whatever `keep` says."""
    if keep.log is None:
        return None
    return before(now, max(duration_micros(keep.log), needed_micros(spec)))


def wrong_ages(keep: KeepSpec) -> Iterator[tuple[Path, str, str]]:
    """Give the ages that are none: the field, what is wrong, and what stands there."""
    for name, text in (("log", keep.log), ("runs", keep.runs)):
        if text is not None and not 0 < duration_micros(text) <= duration_micros(LONGEST):
            yield ("keep", name), f"an age of nothing, or of more than {LONGEST}", text


def too_short(spec: LineSpec, keep: KeepSpec) -> tuple[str, str] | None:
    """Return for how long answers are to be kept and what the line needs, in words, where it needs more; else `None`."""
    if keep.log is None or duration_micros(keep.log) >= needed_micros(spec):
        return None
    return keep.log, " and ".join(f"{name} {text}" for name, text in needed_of(spec).items())
