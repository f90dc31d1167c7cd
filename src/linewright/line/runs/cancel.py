"""A person's word that a run is to stop: a file that the executor looks for, so that nothing has to answer for it to be heard."""

import os
import re
from pathlib import Path

import msgspec

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.store.files.disk import sync_folder

_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """Who cancelled a run, and why."""

    by: str
    because: str = ""


def ask_to_cancel(factory: Factory, run: str, because: str) -> None:
    """Leave word that a run is to be cancelled."""
    path = _path(factory, run)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(Cancellation(by=factory.actor, because=because)))
    draft.replace(path)
    sync_folder(path.parent)


def cancellation_of(factory: Factory, run: str) -> Cancellation | None:
    """Return who cancelled a run; `None` where nobody did."""
    try:
        said = _path(factory, run).read_bytes()
    except (FileNotFoundError, RequestError):
        return None
    try:
        return msgspec.json.decode(said, type=Cancellation)
    except msgspec.MsgspecError:
        return Cancellation(by="unknown")


def forget_cancellation(factory: Factory, run: str) -> None:
    """Remove the word, once the run has its end."""
    _path(factory, run).unlink(missing_ok=True)


def require_id(run: str) -> None:
    """Require that `run` has the form of a run's id."""
    if not _RUN.fullmatch(run):
        raise RequestError(
            "not the id of a run", found=run[:100], allowed="a UUID, as `linewright runs` lists it"
        )


def _path(factory: Factory, run: str) -> Path:
    require_id(run)
    return factory.state / "cancel" / f"{run}.json"
