"""What reads remote files, and the errors that all kinds of it share."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from linewright.errors import RequestError, SpecError, Transient
from linewright.text.remote_url import RemoteUrl

_SHORTEST = 4
"""Letters of a text that is worth hiding."""
_LONGEST = 300


class RemoteFile(NamedTuple):
    """A file as a listing names it."""

    name: str
    """Its path in the bucket, or in the URL."""
    size: int | None
    """Bytes; `None` if the server does not say it."""
    tag: str
    """Moves with every change of the contents; empty if no tag of the server does."""


class RemoteStore(Protocol):
    """Where remote files are."""

    def files(self) -> Sequence[RemoteFile]:
        """Return the files that the URL names, in the order of their names."""
        ...

    def blocks(self, file: RemoteFile) -> Iterator[bytes]:
        """Give the contents of a file, all from one version of it, which is that of the listing if it has a tag.

        Raises
        ------
        Transient
            If the file changed since it was listed, breaks off, or the server does not answer.
        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True, kw_only=True)
class RemoteRequest:
    """What is requested of a server, and the errors of it."""

    url: RemoteUrl
    where: str
    """Place of the source in the line file, for messages."""
    word: str = "file"
    """The word of the source that holds the URL."""
    is_deep: bool = False
    """Whether a folder means all files in it, and not those right in it."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that nobody may see."""

    @property
    def name(self) -> str:
        """Name of the source in the line file."""
        return self.where.removeprefix("sources.")

    def scrubbed(self, error: object) -> str:
        """Return what a library or a server says, on one line, without what is secret."""
        text = " ".join(str(error).partition("Debug source")[0].split())
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…") if len(secret) >= _SHORTEST else text
        text = re.sub(r"\?[^\s'\"]+", "?…", text)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

    def unavailable_error(self, error: object) -> Transient:
        """Return what to say of a server that does not answer, or breaks off."""
        return Transient(
            f"the server of source {self.name!r} does not answer as it should: {self.scrubbed(error)}",
            where=f"{self.where}.{self.word}",
            found=self.url.place,
            hint="nothing of this source was kept; look whether the server is up and reached from here, then try again",
        )

    def changed_error(self, file: str) -> Transient:
        """Return what to say of a file that is not what was listed."""
        return Transient(
            f"a file of source {self.name!r} changed while it was read",
            where=f"{self.where}.{self.word}",
            found=file,
            hint="nothing of this source was kept; try again when nobody writes to it",
        )

    def login_error(self, error: object) -> RequestError:
        """Return what to say of a server that refuses who asks."""
        return RequestError(
            f"the server of source {self.name!r} lets nobody in with this: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="look at what `at` holds, and at the rights that it gives",
        )

    def absent_error(self) -> RequestError:
        """Return what to say of a URL that names nothing."""
        return RequestError(
            "no such file",
            where=f"{self.where}.{self.word}",
            found=self.url.place,
            hint="look at the URL",
        )

    def elsewhere_error(self, host: str) -> SpecError:
        """Return what to say of a server that leads to another one."""
        return SpecError(
            f"the server of source {self.name!r} leads to another host, which is not followed",
            where=f"{self.where}.{self.word}",
            found=host,
            hint="if that is meant, name it in the URL or in what `at` holds, and in `hosts` of factory.yaml",
        )
