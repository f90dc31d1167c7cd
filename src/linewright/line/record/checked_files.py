"""Line files that were found right before, and what files of labels said: a command that asks about a thousand reads those that are new."""

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path

import msgspec
import pydantic
import ruamel.yaml

import linewright
from linewright.line.factory import Factory
from linewright.serve.feedback.store import Feedback, Indexed
from linewright.serve.files import write_whole
from linewright.store.clock import now_utc
from linewright.store.files.names import file_of
from linewright.store.files.stamps import Stamp, is_young, stamp_of
from linewright.store.values import decoder

_FILE = "checked.json"
_FEW = 20
"""Where fewer than one in so many files of labels have changed, what they say now is not kept: it is read as fast as it is written."""


class _Checked(msgspec.Struct, frozen=True):
    code: str
    """What parses: files that another one found right are parsed again."""
    right: dict[str, Stamp]
    """By line, the stamp of the file that was right."""
    indexed: dict[str, tuple[Stamp, Indexed]] = {}
    """By line, what its file of labels said, and with which stamp."""


class CheckedFiles:
    """Says what is wrong with line files, and remembers in the state of the factory which were right, by their stamps.

    It remembers what files of labels said as well.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory, self._path = factory, factory.state / _FILE
        self._now_s = datetime.fromisoformat(now_utc()).timestamp()
        self._before = _read(self._path)
        self._right: dict[str, Stamp] = {}
        self._indexed: dict[str, tuple[Stamp, Indexed]] = {}

    @contextmanager
    def recalling(self, line: str, labels: Feedback) -> Generator[None]:
        """Let the labels of a line not be read where their file is as it was, and remember what it says."""
        if (before := self._before.indexed.get(line)) is not None:
            labels.recall(*before)
        yield
        if (now := labels.recalled()) is not None:
            self._indexed[line] = now

    def trouble_with(self, line: str) -> str | None:
        """Say what is wrong with a line's file; `None` where nothing is."""
        stamp = None
        with suppress(OSError, ValueError):
            stamp = stamp_of(file_of(self._factory.root / "lines", line).stat())
        is_known = stamp is not None and stamp == self._before.right.get(line)
        trouble = None if is_known else self._factory.trouble_with(line)
        if stamp is not None and trouble is None and not is_young(stamp, self._now_s):
            self._right[line] = stamp
        return trouble

    def keep(self) -> None:
        """Keep what was found right, where that is more than before; without it nothing but time is lost."""
        before = self._before
        new = sum(before.indexed.get(line) != one for line, one in self._indexed.items())
        if self._right.items() <= before.right.items() and new * _FEW < max(1, len(self._indexed)):
            return
        now = _Checked(
            code=_code(), right={**before.right, **self._right}, indexed={**before.indexed, **self._indexed}
        )
        body = msgspec.json.encode(now)
        with suppress(OSError):  # a full disk, or one that is only read
            write_whole(self._path, body)


def _read(path: Path) -> _Checked:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        kept = decoder(_Checked).decode(path.read_bytes())
        if kept.code == _code():
            return kept
    return _Checked(code="", right={})


@cache
def _code() -> str:
    """Return what tells one program that parses line files from another: versions, and the newest of our own files."""
    package = Path(linewright.__file__).parent
    newest = max(path.stat().st_mtime_ns for path in package.rglob("*.py"))
    parsers = f"pydantic {pydantic.VERSION}, ruamel.yaml {ruamel.yaml.__version__}"
    return f"linewright {linewright.__version__} {newest}, {parsers}, Python {sys.version}"
