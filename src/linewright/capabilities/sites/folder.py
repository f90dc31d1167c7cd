"""A folder from which an endpoint serves one model without its factory: ``package.json``, and the bytes that it names by digest."""

import os
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from linewright.errors import Conflict, Corrupt, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import Detached
from linewright.line.record.registry import find_model
from linewright.model.facts import Package
from linewright.release.facts import Arm, Serving
from linewright.release.promotion import limits_of, recorded
from linewright.serve.files import write_whole
from linewright.serve.rows.lookup.known_series import parts_of
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.files.disk import explained, sync_folder
from linewright.store.files.names import is_line_name, line_path
from linewright.store.files.rights import OWNER_ONLY, make_state_folder
from linewright.store.values import decode, decoder, digest_of_bytes

PACKAGE = "package.json"
STATE = ".linewright"
"""Folder of all else: the bytes, and later the log and the labels."""


class DetachedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """What ``package.json`` says."""

    format: Literal[1] = 1
    serving: Serving
    """What the endpoint serves."""
    artifacts: tuple[str, ...]
    """Digests of all bytes that it takes, the package first."""

    @property
    def line(self) -> str:
        """The line."""
        return self.serving.line

    @property
    def model(self) -> str:
        """LINE@VERSION."""
        return f"{self.line}@{self.arm.model}"

    @property
    def arm(self) -> Arm:
        """The model."""
        assert self.serving.champion is not None  # noqa: S101 -- `read_folder` has seen that there is one
        return self.serving.champion


class DetachedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that was written, from which an endpoint serves a model."""

    folder: str
    model: str
    """LINE@VERSION."""
    package: str
    """Digest of the model."""
    digest: str
    """Of ``package.json``, which names the digests of all else."""
    bytes: int


def write_folder(factory: Factory, model: str, folder: Path) -> DetachedFolder:
    """Write a folder from which an endpoint serves a registered model, and record that it was written."""
    version = find_model(factory, model)
    folder = folder.expanduser().absolute()
    if folder.exists():
        raise Conflict(
            "there is something of that name already", where=str(folder), hint="name another folder"
        )
    if not folder.parent.is_dir():
        raise NotFound(
            "the folder to make it in does not exist",
            where=str(folder.parent),
            hint="make it, then try again",
        )
    read = decode(Package, factory.artifacts.get(version.digest), digest=version.digest)
    now = recorded(factory.metadata, version.line)
    arm = Arm(
        model=version.version,
        package=version.digest,
        limits=limits_of(factory.metadata, version.line, version.version),
    )
    says = DetachedPackage(
        serving=Serving(
            line=version.line,
            generation=now.generation,
            champion=arm,
            known=now.known,
            when_log_fails=now.when_log_fails,
            explore=now.explore,
            series=now.series,
        ),
        artifacts=(
            version.digest,
            *read.loaded,
            *(parts_of(now.series, factory.artifacts.get) if now.series else ()),
        ),
    )
    body = msgspec.json.format(msgspec.json.encode(says), indent=2) + b"\n"
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        with explained(folder, "the folder"):
            make_state_folder(draft / STATE)
            blobs = [factory.artifacts.get(digest) for digest in says.artifacts]
            for blob in blobs:
                LocalArtifacts(blobs_in(draft)).put(blob)
            write_whole(draft / PACKAGE, body)
            sync_folder(draft)
            draft.rename(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    digest = digest_of_bytes(body)
    factory.metadata.record(
        Detached(
            at=factory.now(),
            by=factory.actor,
            because=f"written to {folder.name}",
            line=version.line,
            model=version.version,
            package=version.digest,
            folder=digest,
        )
    )
    size = len(body) + sum(map(len, blobs))
    return DetachedFolder(
        folder=str(folder), model=says.model, package=version.digest, digest=digest, bytes=size
    )


def blobs_in(folder: Path) -> Path:
    """Return where a folder has its bytes."""
    return folder / STATE / "artifacts"


def read_folder(folder: Path) -> tuple[DetachedPackage, str]:
    """Return what the ``package.json`` of a folder says, and its digest."""
    path = folder / PACKAGE
    try:
        body = path.read_bytes()
    except OSError as error:
        raise NotFound(
            "this folder holds no detached model",
            where=str(folder),
            found=f"no {PACKAGE} that can be read",
            hint="`linewright detach LINE@VERSION FOLDER` writes one",
        ) from error
    try:
        says = decoder(DetachedPackage).decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"it does not say what serves: {error}", where=str(path), hint=_AGAIN) from error
    if says.serving.champion is None or not is_line_name(says.line):
        raise Corrupt("it does not say what serves", where=str(path), found=says.line[:100], hint=_AGAIN)
    return says, digest_of_bytes(body)


_AGAIN = "write the folder again: linewright detach LINE@VERSION FOLDER"


def ready_to_serve(folder: Path) -> Path:
    """Verify a folder, and return the state folder from which an endpoint serves it."""
    folder = folder.expanduser().absolute()
    says, _ = read_folder(folder)
    artifacts = LocalArtifacts(blobs_in(folder))
    for digest in says.artifacts:
        artifacts.get(digest)
    if says.arm.package not in says.artifacts:
        raise Corrupt("the bytes of the model are missing", where=str(folder / PACKAGE), hint=_AGAIN)
    state = folder / STATE
    serving = state / "serving"
    with explained(folder, "what the endpoint serves"):
        serving.mkdir(mode=OWNER_ONLY, exist_ok=True)
        for other in serving.glob("*.json"):
            if other.stem != says.line:
                raise RequestError(
                    "another line was served from this folder",
                    where=str(other),
                    allowed=says.line,
                    hint="serve each folder as it was written",
                )
        write_whole(line_path(serving, says.line, ".json"), msgspec.json.encode(says.serving))
    return state
