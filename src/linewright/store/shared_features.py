"""The database that several machines share for feature views, if `factory.yaml` names one: rows that were sent, and files of records."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from linewright.errors import RequestError

if TYPE_CHECKING:
    from linewright.store.pushed_rows import PushedRows

_FACTORY, _WORD = "factory.yaml", "features"
_BACKEND = "linewright.plugins.postgresql_features"


class SharedFeatures(Protocol):
    """What machines share. Safe to use from several threads, processes and machines.

    Each method may raise `Transient`, naming `place`, if the database does not answer in time.
    """

    @property
    def place(self) -> str:
        """Host and database, for people."""
        ...

    def troubles(self) -> list[str]:
        """Return what keeps this user from sharing there: rights that are missing, a server that takes no rows, another time.

        Raises
        ------
        SpecError, Terminal
            If the URL is wrong, or the tables are of a newer Linewright.
        """
        ...

    def pushed_rows(self, file: Path, *, now: Callable[[], str]) -> "PushedRows":
        """Return the rows of the source whose file would be this one if they were not shared."""
        ...

    def publish(self, name: str, known: int, file: Path) -> None:
        """Give a file of records to all machines, in the place of the one before; not if that knows more.

        Parameters
        ----------
        name
            Of the file, the same on each machine.
        known
            What was known at this moment is in it: microseconds since 1970, UTC.
        """
        ...

    def withdraw(self, name: str) -> None:
        """Remove a file of records there, if there is one: what other machines have fetched of it counts until another is published."""
        ...

    def fetch(self, path: Path, *, since: int) -> bool:
        """Put the file of records that others published in its place here, if it knows more than this moment; return whether it does.

        It is whole or not there. If another process fetches it, nothing is done.
        """
        ...


def shared_features(state: Path) -> SharedFeatures | None:
    """Return what machines share, from the state folder of a factory; `None` if everything is in that folder."""
    reference = _reference(state.parent)
    return None if reference is None else _opened(state.parent, reference)


def are_features_shared(state: Path) -> bool:
    """Return whether machines share rows that are sent, and files of records."""
    return _reference(state.parent) is not None


def _reference(root: Path) -> str | None:
    """Return what ``features: {store: …}`` says. Endpoints ask often, and few factories have it."""
    try:
        about = os.stat(root / _FACTORY)  # noqa: PTH116 -- asked for each request
        return _read(root, about.st_mtime_ns, about.st_size)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _read(root: Path, _changed_ns: int, _size: int) -> str | None:
    text = (root / _FACTORY).read_text(encoding="utf-8", errors="replace")
    if _WORD not in text:
        return None
    yaml = import_module("ruamel.yaml")
    try:
        said = yaml.YAML(typ="safe", pure=True).load(text)
    except yaml.YAMLError:
        return None  # who reads the file says what is wrong with it
    features: Any = said.get(_WORD) if isinstance(said, Mapping) else None
    store = features.get("store") if isinstance(features, Mapping) else None
    return store if isinstance(store, str) else None


@lru_cache(maxsize=64)
def _opened(root: Path, reference: str) -> SharedFeatures:
    try:
        backend = import_module(_BACKEND)
    except ModuleNotFoundError as error:
        raise RequestError(
            "the store of features cannot be used here",
            where=f"{_FACTORY}: {_WORD}.store",
            found=f"no {error.name}",
            hint="pip install 'linewright[postgresql]'",
        ) from error
    return backend.PostgresFeatures(root, reference)
