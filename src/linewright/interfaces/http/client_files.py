"""Files of clients: what a command on another machine hands to an operation, and what it takes back.

A client sends a file in parts to ``PUT /api/v1/OPERATION/files/NAME``, and names it to the operation as ``file:ID/NAME``; it takes what the
operation wrote from ``GET /api/v1/OPERATION/files/NAME?id=ID``. A file is for who sent it alone, and is gone after a day.
"""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from linewright.errors import Conflict, NotFound, RequestError, Transient
from linewright.operations.declare import Operation, to_json
from linewright.serve.access.rights import Identity
from linewright.serve.access.shares import Shares
from linewright.store.clock import later, now_utc, text_of
from linewright.store.files.disk import faults_explained
from linewright.store.files.names import CLIENT_FILES

MARK = "file:"
"""What a file's name begins with, as an argument and in a result."""
PART_BYTES = 32 << 20
"""Most bytes of a part."""
KEPT_MICROS = 86_400_000_000
"""Microseconds that a file is kept."""
MOST_FILES = 1_000
"""Of all clients together."""
FILES_EACH, BYTES_EACH = 40, 16 << 30
"""Files that one client may keep, and bytes beyond which they send no more."""
FILES_VIEWED, BYTES_VIEWED = 4, 4 << 20
"""The same of one who may only look: checkpoints of the record, which they check it against."""
PARTS_EACH, MOST_PARTS = 4, 32
"""Parts under way at one time, of one client and of all."""
LEAST_FREE = 1 << 30
"""Bytes that must stay free on the disk."""
_PART_SECONDS = 60.0
_PIECE = 1 << 18
"""Bytes that are gathered before they are written: what each part under way takes of memory."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ @+.=-]{0,99}")
_ID = re.compile(r"[0-9a-f]{32}")
FILE_NAME, FILE_ID = f"^{_NAME.pattern}$", f"^{_ID.pattern}$"
"""What the name and the id of a file match, as a document says it."""
_OWNER = ".owner"
_HUNG_UP = 499


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a client, as far as it has come."""

    file: str
    """How operations are told of it."""
    id: str
    bytes: int


class Staged(NamedTuple):
    """Arguments that name files, as an operation takes them."""

    arguments: Mapping[str, Any]
    made: tuple[Path, ...]
    """Files that were put into the folder of the factory."""
    folders: tuple[Path, ...] = ()
    """Folders that were made for what the operation writes."""

    def undo(self) -> None:
        """Remove what was put there, for an operation that failed."""
        for path in self.made:
            path.unlink(missing_ok=True)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


class Files:
    """The files of clients of one control plane."""

    def __init__(self, root: Path) -> None:
        self._root, self._folder = root, root / ".linewright" / CLIENT_FILES
        self._parts = Shares("parts of files", each=PARTS_EACH, most=MOST_PARTS)
        self._under_way: set[Path] = set()
        """Files of which a part is coming."""

    async def receive(self, request: Request, identity: Identity, name: str) -> Response:
        """Keep a part of a file; ``offset`` says where it belongs, and ``id`` names a file that has begun."""
        if (found := request.headers.get("content-type", "")) != "application/octet-stream":
            allowed = "application/octet-stream"
            raise RequestError("a file is bytes", where="Content-Type", found=found[:80], allowed=allowed)
        given, offset = request.query_params.get("id"), request.query_params.get("offset", "0")
        if not offset.isascii() or not offset.isdigit() or len(offset) > 18:
            raise RequestError("not a place in a file", where="offset", found=offset[:80], allowed="bytes")
        named, is_new = _named(name), given is None
        with self._parts.taken(identity.client):
            path = await run_sync(self._begin, identity, named, given)
            if path in self._under_way:
                raise Conflict(
                    "a part of this file is under way", where=name, hint="send one after the other"
                )
            self._under_way.add(path)
            try:
                size = await self._write(request, identity, path, int(offset))
            except BaseException as error:
                await run_sync(_drop, path, None if is_new else int(offset))
                if isinstance(error, ClientDisconnect):
                    return Response(status_code=_HUNG_UP)  # nobody reads it
                raise
            finally:
                self._under_way.discard(path)
        kept = Kept(file=f"{MARK}{path.parent.name}/{path.name}", id=path.parent.name, bytes=size)
        return Response(to_json(kept), media_type="application/json")

    async def _write(self, request: Request, identity: Identity, path: Path, offset: int) -> int:
        """Write a part as its pieces come, and return how large the file is then."""
        came, piece = 0, bytearray()
        left = await run_sync(self._cut, identity, path, offset)
        try:
            async with asyncio.timeout(_PART_SECONDS):
                async for more in request.stream():
                    came += len(more)
                    if came > PART_BYTES:
                        raise RequestError("a part is too large", allowed=f"at most {PART_BYTES:,} bytes")
                    if came > left:
                        raise _too_much(identity)
                    piece += more
                    if len(piece) >= _PIECE:
                        await run_sync(self._append, path, bytes(piece))
                        piece.clear()
        except TimeoutError:
            raise Transient("the part came too slowly", allowed=f"within {_PART_SECONDS:g} s") from None
        return await run_sync(self._append, path, bytes(piece))

    async def send(self, request: Request, identity: Identity, name: str) -> Response:
        """Give a file back."""
        path = await run_sync(self._find, identity, f"{request.query_params.get('id', '')}/{name}")
        size = (await run_sync(path.stat)).st_size

        async def pieces() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while piece := await run_sync(file.read, 1 << 18):
                    yield piece

        return StreamingResponse(
            pieces(), media_type="application/octet-stream", headers={"content-length": str(size)}
        )

    def keep(self, identity: Identity, name: str, data: bytes) -> str:
        """Keep a whole file, and return what names it to an operation."""
        path = self._begin(identity, _named(name), None)
        try:
            self._cut(identity, path, 0, need=len(data))
            self._append(path, data)
        except BaseException:
            _drop(path, None)
            raise
        return f"{MARK}{path.parent.name}/{path.name}"

    def stage(self, operation: Operation, arguments: Mapping[str, Any], identity: Identity) -> Staged:
        """Return arguments in which paths replace files of clients; a client can name no other path."""
        made, folders = list[Path](), list[Path]()
        try:
            staged = self._staged(operation, arguments, identity, made, folders)
        except BaseException:
            Staged(arguments, tuple(made), tuple(folders)).undo()
            raise
        return Staged(staged, tuple(made), tuple(folders))

    def _staged(
        self,
        operation: Operation,
        arguments: Mapping[str, Any],
        identity: Identity,
        made: list[Path],
        folders: list[Path],
    ) -> Mapping[str, Any]:
        staged = dict(arguments)
        for name, use in operation.files.items():
            if name not in staged:
                continue
            given = staged[name]
            text = given[0] if isinstance(given, list) and len(given) == 1 else given  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(text, str):
                raise RequestError("not a file", where=name, allowed=f"{MARK}ID/NAME")
            if use in {"out", "new"}:
                name_of_it = _named(text)
                folders.append(self._folder_of(identity))
                path = folders[-1] / name_of_it
            elif text.startswith(MARK):
                path = self._find(identity, text.removeprefix(MARK))
                if use == "data":
                    path, is_new = self._into_data(path)
                    made += [path] if is_new else []
            elif use == "data" and (there := self._in_data(text)) is not None:
                path = there
            else:
                raise RequestError(
                    "from another machine a file is sent first",
                    where=name,
                    found=text[:80],
                    allowed=f"{MARK}ID/NAME, as PUT {operation.path}/files/NAME answers"
                    f"{'; or data/NAME, which is there already' if use == 'data' else ''}",
                )
            staged[name] = [str(path)] if isinstance(given, list) else str(path)
        return staged

    def told(self, result: bytes) -> bytes:
        """Return a result as JSON that names files as clients do."""
        return result.replace(msgspec.json.encode(f"{self._folder}/")[1:-1], MARK.encode())

    def _begin(self, identity: Identity, name: str, given: str | None) -> Path:
        if given is not None:
            return self._find(identity, f"{given}/{name}")
        path = self._folder_of(identity) / name
        path.touch(mode=0o600)
        return path

    def _folder_of(self, identity: Identity) -> Path:
        self._sweep(identity)
        with faults_explained(self._root):
            free = shutil.disk_usage(self._root).free
            if free < LEAST_FREE:
                raise Transient("the disk is almost full", found=f"{free >> 20} MiB", hint="make room there")
            folder = self._folder / secrets.token_hex(16)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            (folder / _OWNER).write_text(identity.client, encoding="utf-8")
        return folder

    def _cut(self, identity: Identity, path: Path, offset: int, *, need: int = 0) -> int:
        """Cut a file to the beginning of a part, and return how many bytes more this client may send."""
        with faults_explained(self._root):
            if offset > (size := path.stat().st_size):
                raise RequestError("a part before this one is missing", found=str(offset), allowed=str(size))
            os.truncate(path, offset)
            kept = sum(_bytes(folder) for folder in _folders(self._folder) if _is_of(folder, identity))
        left = (BYTES_VIEWED if identity.only_views else BYTES_EACH) - kept
        if left < need:
            raise _too_much(identity)
        return left

    def _append(self, path: Path, piece: bytes) -> int:
        with faults_explained(self._root), path.open("ab") as file:
            if shutil.disk_usage(self._root).free - len(piece) < LEAST_FREE:
                raise Transient("the disk is almost full", hint="make room there")
            file.write(piece)
            return file.tell()

    def _find(self, identity: Identity, given: str) -> Path:
        number, _, name = given.partition("/")
        folder = self._folder / number
        if _ID.fullmatch(number) and _NAME.fullmatch(name):
            with suppress(OSError):
                if _is_of(folder, identity) and (folder / name).is_file():
                    return folder / name
        raise NotFound("you have no such file", found=given[:80], hint="files are kept for a day")

    def _into_data(self, path: Path) -> tuple[Path, bool]:
        """Copy a file into the factory's data, and return where it is and whether it is new there.

        It is a copy: the client can still write to the file that it sent.
        """
        kept = self._root / "data" / path.name
        draft = path.with_name(".draft")
        with faults_explained(self._root):
            kept.parent.mkdir(exist_ok=True)
            try:
                shutil.copyfile(path, draft)
                os.link(draft, kept)
            except FileExistsError:
                if _same(path, kept):
                    return kept, False
                raise Conflict(
                    "another file of this name is there",
                    where=f"data/{path.name}",
                    hint="give yours another name",
                ) from None
            finally:
                draft.unlink(missing_ok=True)
        return kept, True

    def _in_data(self, text: str) -> Path | None:
        """Return a file that lies in the factory's data already, by its path from the folder of the factory."""
        with suppress(OSError, ValueError):
            path, home = (self._root / text).resolve(), (self._root / "data").resolve()
            if not Path(text).is_absolute() and path.is_relative_to(home) and path.is_file():
                return self._root / path.relative_to(self._root.resolve())
        return None

    def _sweep(self, identity: Identity) -> None:
        """Remove what was kept for long enough, and refuse more files than this client, or all, may keep."""
        there, theirs, now = 0, 0, now_utc()
        for folder in _folders(self._folder):
            with suppress(OSError):
                begun = text_of(datetime.fromtimestamp(folder.stat().st_mtime, UTC).replace(tzinfo=None))
                if later(begun, KEPT_MICROS) < now:
                    shutil.rmtree(folder)
                else:
                    there += 1
                    theirs += _is_of(folder, identity)
        if theirs >= (most := FILES_VIEWED if identity.only_views else FILES_EACH):
            raise Transient(
                "you keep too many files here",
                found=str(theirs),
                allowed=str(most),
                hint="ask again tomorrow",
            )
        if there >= MOST_FILES:
            raise Transient("too many files of clients are kept", found=str(there), hint="ask again tomorrow")


def _too_much(identity: Identity) -> Transient:
    allowed = f"at most {BYTES_VIEWED if identity.only_views else BYTES_EACH:,} bytes"
    return Transient("you keep too much here", allowed=allowed, hint="ask again tomorrow")


def _is_of(folder: Path, identity: Identity) -> bool:
    try:
        return (folder / _OWNER).read_text(encoding="utf-8") == identity.client
    except OSError:  # it is being removed
        return False


def _bytes(folder: Path) -> int:
    with suppress(OSError), os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)
    return 0


def _drop(path: Path, offset: int | None) -> None:
    """Remove what came of a part that failed: all of a file that began with it."""
    with suppress(OSError):
        if offset is None:
            shutil.rmtree(path.parent)
        elif path.stat().st_size > offset:
            os.truncate(path, offset)


def _named(name: str) -> str:
    # A line may name a function in a file of Python that lies in the factory's folder: no client puts one there.
    if not _NAME.fullmatch(name) or name.endswith(".py"):
        allowed = "1 to 100 letters, digits, spaces and . _ @ + = -, no folder; no file of Python"
        raise RequestError("this cannot be a file's name", found=name[:80], allowed=allowed)
    return name


def _folders(where: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(where) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(1 << 20):
            if piece != right.read(1 << 20):
                return False
    return True
