"""The person whom an approval is to have forgotten: in a separate file, outside the record, gone once that is decided."""

from contextlib import suppress
from pathlib import Path

from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.serve.files import write_whole
from linewright.store.files.disk import explained, sync_file, sync_folder


def keep_subject(factory: Factory, proposal: str, subject: str) -> None:
    """Keep who is to be forgotten until a proposal is decided."""
    path = _path(factory, proposal)
    with explained(path, "who is to be forgotten"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, subject.encode("utf-8", "surrogatepass"))
        sync_file(path)
        sync_folder(path.parent)


def take_subject(factory: Factory, proposal: str) -> str:
    """Return who is to be forgotten, and keep it no longer."""
    path = _path(factory, proposal)
    try:
        subject = path.read_bytes().decode("utf-8", "surrogatepass")
    except FileNotFoundError:
        raise NotFound(
            "it is not kept any more who was to be forgotten",
            found=proposal,
            hint="ask for it again: linewright forget LINE --subject VALUE --yes",
        ) from None
    drop_subject(factory, proposal)
    return subject


def drop_subject(factory: Factory, proposal: str) -> None:
    """Keep it no longer, if it is kept."""
    path = _path(factory, proposal)
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def drop_all_of(factory: Factory, subject: str) -> None:
    """Keep a person in no proposal any longer: they are forgotten without one."""
    for path in (factory.state / "proposals").glob("*"):
        with suppress(FileNotFoundError):
            if path.read_bytes() == subject.encode("utf-8", "surrogatepass"):
                drop_subject(factory, path.name)


def _path(factory: Factory, proposal: str) -> Path:
    return factory.state / "proposals" / proposal
