"""Sources that a function of the user's makes with dlt; a child process calls it, and reaches allowed hosts alone."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, cast
from urllib.parse import quote, quote_plus

from linewright.data.read.batches import BATCH, refuse_patterns
from linewright.data.read.file.json_lines import JsonLines
from linewright.data.read.limits import most_held, too_many_columns, too_many_rows
from linewright.data.read.reader import Cursor
from linewright.data.read.remote.downloads import DownloadedPart, ScratchFolder, new_scratch
from linewright.data.read.remote.single_server_proxy import AllowedHostsProxy
from linewright.data.read.source import Source
from linewright.data.spec import DltSource, FileLimits, FileSource
from linewright.engine.child import Child, ChildEnded, End
from linewright.errors import LinewrightError, RequestError, SpecError, Terminal, Transient, UserCodeError
from linewright.store.files.secret import read_secret
from linewright.store.values import digest_of

_SHORTEST = 4
"""Letters of a secret that is worth hiding."""
_LONGEST = 300


class DltReader:
    """Reads what a function gives; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: DltSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Call the function once; the rows lie in a file that goes with the last use of them."""
        del since
        return self._opened(name, spec, root, size)[0]

    def read(self, name: str, spec: DltSource, root: Path) -> tuple[Source, str]:
        """Call the function once, and return the rows with their fingerprint."""
        return self._opened(name, spec, root, BATCH)

    def fingerprint(self, spec: DltSource, root: Path, where: str) -> str:
        """Return a digest of the rows; it costs as much as reading does."""
        with new_scratch(root) as scratch:
            found = _Asked.of(spec, root, where).rows(scratch).fingerprint
        scratch.remove()
        return found

    def columns(self, name: str, spec: DltSource, root: Path) -> tuple[str, ...]:
        """Return nothing: only the rows have names."""
        del name, spec, root
        return ()

    def _opened(self, name: str, spec: DltSource, root: Path, size: int) -> tuple[Source, str]:
        where = f"sources.{name}"
        with new_scratch(root) as scratch:
            found = _Asked.of(spec, root, where).rows(scratch)
            limits = FileLimits(rows=spec.limits.rows)
            if len(found.columns) > limits.columns:
                raise too_many_columns(where, spec.describe(), limits.columns)
            refuse_patterns(found.columns, where)
            as_file = FileSource(file=found.path.name, missing=spec.missing, limits=limits)
            part = JsonLines(path=found.path, spec=as_file, where=where, columns=found.columns, size=size)
        kept = DownloadedPart(part=part, scratch=scratch)
        source = Source(
            name=name, columns=found.columns, is_text=True, parts=(kept,), missing=spec.missing_texts
        )
        return source, found.fingerprint


@dataclass(frozen=True, kw_only=True)
class _Rows:
    path: Path
    columns: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is asked of a function."""

    spec: DltSource
    root: Path
    where: str
    file: Path
    function: str
    given: tuple[str, ...]

    @classmethod
    def of(cls, spec: DltSource, root: Path, where: str) -> "_Asked":
        written, _, function = spec.dlt.rpartition(":")
        file = (root / written).resolve()
        if not file.is_file() or not file.is_relative_to(root.resolve()):
            raise RequestError(
                "the factory's folder has no such file",
                where=f"{where}.dlt",
                found=written,
                allowed="FILE.py:FUNCTION, the file in the factory's folder",
            )
        given = (read_secret(spec.at, root, where=f"{where}.at"),) if spec.at else ()
        return cls(spec=spec, root=root, where=where, file=file, function=function, given=given)

    def rows(self, scratch: ScratchFolder) -> _Rows:
        """Call the function, and return its rows, all of them or none."""
        path, names, digest, count = scratch.path / "rows.jsonl", dict[str, None](), hashlib.sha256(), 0
        try:
            with path.open("wb") as target:
                for said in self._said(scratch):
                    names |= dict.fromkeys(said["names"])
                    count += len(said["rows"])
                    if count > self.spec.limits.rows:
                        raise too_many_rows(self.where, self.spec.limits.rows)
                    _write(target, said["rows"], digest, scratch)
        except OSError as error:
            raise Terminal(
                f"the rows of source {self._name!r} cannot be kept for reading: {error.strerror}",
                where=self.where,
                hint="make room on the disk, or ask for fewer rows",
            ) from error
        columns = tuple(dict.fromkeys(name.strip() for name in names))
        if "" in columns:
            raise SpecError("a field has no name", where=self.where, found=self.spec.dlt)
        return _Rows(
            path=path,
            columns=columns,
            fingerprint=digest_of({"rows": digest.hexdigest(), "missing": list(self.spec.missing)}),
        )

    @property
    def _name(self) -> str:
        return self.where.removeprefix("sources.")

    def _said(self, scratch: ScratchFolder) -> Iterator[dict[str, Any]]:
        until = monotonic() + self.spec.limits.seconds
        with AllowedHostsProxy(self.root, f"{self.where}.dlt") as proxy:
            try:
                with Child(
                    "linewright.plugins.dlt",
                    [str(self.file), self.function],
                    memory=most_held(),
                    shows_errors=False,
                    gives_way=False,
                ) as child:
                    # Not among its arguments, which all users of the machine may see.
                    child.send(
                        {
                            "given": self.given,
                            "resource": self.spec.resource,
                            "proxy": proxy.url,
                            "folder": str(scratch.path),
                        }
                    )
                    while not (said := _received(child, until)).get("is_last"):
                        if "absent" in said:
                            raise self._absent(said["absent"])
                        if "wrong" in said:
                            raise self._error(said, proxy)
                        if "rows" in said:
                            yield said
            except ChildEnded as ended:
                raise self._end(ended) from ended

    def _error(self, said: dict[str, Any], proxy: AllowedHostsProxy) -> LinewrightError:
        if proxy.errors:
            return proxy.errors[0]
        text = self._scrubbed(said["wrong"])
        if said["is_away"]:
            return Transient(
                f"source {self._name!r} does not get what it should: {text}",
                where=f"{self.where}.dlt",
                found=self.spec.dlt,
                hint="nothing of this source was kept; look whether its server is up and reached from here, then try again",
            )
        file = self.spec.dlt.rpartition(":")[0]
        return UserCodeError(
            f"the function of source {self._name!r} fails: {text}",
            where=f"{file}, line {said['line']}" if said["line"] else file,
            hint=f"it is to return a source, a resource or rows; see {self.where}.dlt",
        )

    def _absent(self, module: str) -> RequestError:
        package = "'linewright[dlt]'" if module.partition(".")[0] == "dlt" else "what brings it"
        return RequestError(
            f"the function of source {self._name!r} needs a package that is not installed",
            where=f"{self.where}.dlt",
            found=f"no {module}",
            hint=f"pip install {package}",
        )

    def _end(self, ended: ChildEnded) -> LinewrightError:
        if ended.end.how == "deadline":
            return Transient(
                f"source {self._name!r} gave not all rows in {self.spec.limits.seconds:g} s, and its function was ended",
                where=f"{self.where}.dlt",
                found=self.spec.dlt,
                hint=f"try again, or allow more by {self.where}.limits.seconds; nothing of this source was kept",
            )
        return UserCodeError(
            f"the process of source {self._name!r} ended: {self._scrubbed(str(ended))}",
            where=f"{self.where}.dlt",
            found=self.spec.dlt,
        )

    def _scrubbed(self, text: str) -> str:
        text = " ".join(text.split())
        for secret in _parts_of(self.given):
            for spelled in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
                text = text.replace(spelled, "…")
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _parts_of(given: Sequence[str]) -> list[str]:
    """Return secrets, and the texts in those that are JSON, which a function may use one by one; the longest first."""
    found, waiting = list[str](), list[Any](given)
    while waiting:
        match waiting.pop():
            case dict() as held:
                waiting += cast("dict[str, Any]", held).values()
            case list() as held:
                waiting += cast("list[Any]", held)
            case str() as text:
                found.append(" ".join(text.split()))
                with suppress(ValueError):
                    waiting += [held for held in [json.loads(text)] if isinstance(held, dict | list)]
            case _:
                pass
    return sorted({text for text in found if len(text) >= _SHORTEST}, key=len, reverse=True)


def _received(child: Child, until: float) -> dict[str, Any]:
    """Return what a child sends next, and end it at a moment, also one that goes on sending."""
    if (left := until - monotonic()) <= 0:
        child.kill()
        raise ChildEnded(End(how="deadline"))
    return child.receive(idle_s=left)


def _write(target: BinaryIO, rows: list[str], digest: Any, scratch: ScratchFolder) -> None:
    block = "".join(row + "\n" for row in rows).encode()
    if len(block) > scratch.free:
        raise OSError(28, "no room on the disk")
    digest.update(block)
    target.write(block)
