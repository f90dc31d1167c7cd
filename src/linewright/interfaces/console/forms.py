"""Forms of pages: their fields as arguments of an operation, and what was written into them, to show it again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, quote, urlsplit

from linewright.errors import RequestError
from linewright.operations.declare import Operation
from linewright.operations.parameter import Parameter
from linewright.serve.access.rights import Identity

_FIELD = re.compile(r"\{([a-z_]+)\}")
_MOST_FIELDS = 1000


class Staged(Protocol):
    """Arguments that name files, as an operation takes them."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the operation is given."""
        ...

    def undo(self) -> None:
        """Remove what was put into the factory's data for an operation that failed."""
        ...


class ClientFiles(Protocol):
    """The files that the person who fills in a form has sent before, or writes into it."""

    def keep(self, identity: Identity, name: str, data: bytes) -> str:
        """Keep a file of theirs, and return what names it to an operation."""
        ...

    def stage(self, operation: Operation, arguments: Mapping[str, Any], identity: Identity) -> Staged:
        """Return arguments in which paths replace names of their files; they can name no other."""
        ...

    def told(self, result: bytes) -> bytes:
        """Return a result that names files as they do."""
        ...


class Written(NamedTuple):
    """A text that was written into a form in place of a file."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a form asks for."""

    arguments: Mapping[str, Any]
    """Values by parameter, as JSON has them."""
    written: Mapping[str, Written]
    """By parameter."""
    typed: Mapping[str, str]
    """Its fields as they were filled in."""
    next: str
    """Where to go then; empty if the page of the form is to show the answer."""
    page: str
    """Address of the page that has the form; empty if that does not show it again."""
    show: str
    """Address of the page that shows the answer, where `next` is empty."""


def read_form(body: bytes, operation: Operation) -> Form:
    """Read a form.

    Fields are named as parameters of the operation; empty ones count as left out. Others are ours:

    ``_next``
        Where to go then; ``{name}`` in it stands for the field of that name.
    ``_page``
        The page that has the form: what went wrong is shown there, with all that was filled in, and without ``_next`` the answer too.
    ``_show``
        Another page that shows the answer; ``{name}`` as in ``_next``.
    ``_if_taken``
        Names of fields, apart by blanks, that an operation is given only if it takes them: a form may have buttons for several.
    ``_text.NAME`` and ``_as.NAME``
        The text of a file in place of one that was sent, and its name.
    """
    fields = _fields(body)
    typed = {name: given[-1] for name, given in fields.items()}
    to, page = _filled(typed.get("_next", ""), typed), typed.get("_page", "")
    show = _filled(typed.get("_show", ""), typed) or page
    taken = {each.name: each for each in operation.parameters}
    optional = typed.get("_if_taken", "").split()
    arguments = {
        name: _value(taken[name], given) if name in taken else given
        for name, given in fields.items()
        if any(given) and not name.startswith("_") and (name in taken or name not in optional)
    }
    return Form(
        arguments=arguments,
        written={
            name: Written(_FIELD.sub(lambda m: typed.get(m[1], ""), typed.get(f"_as.{name}", "")), data)
            for name in operation.files
            if name not in arguments and (data := _lines(typed.get(f"_text.{name}", "")).encode())
        },
        typed=typed,
        next=own_path(to) if to else "",
        page=own_path(page) if page else "",
        show=own_path(show) if show else "",
    )


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except (UnicodeError, ValueError) as error:
        raise RequestError("the body is not a form", where="body") from error


def _value(parameter: Parameter, given: Sequence[str]) -> Any:
    if not parameter.from_file:
        return parameter.from_text(given)
    if len(given) != 1:
        raise RequestError(f"{parameter.name!r} is given {len(given)} times", allowed="one text")
    # A command is given a file that has it, which here nobody may name.
    return _lines(given[0])


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")  # as browsers end lines


def _filled(path: str, typed: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda found: quote(typed.get(found[1], ""), safe=""), path)


def own_path(text: str) -> str:
    r"""Return an address of ours, else that of the factory: a form leads to no other site.

    Examples
    --------
    >>> [own_path(text) for text in ("/lines/claims?a=1", "https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example")]
    ['/lines/claims?a=1', '/', '/', '/']
    """
    parts = urlsplit(text)
    is_ours = text.startswith("/") and text[1:2] not in {"/", "\\"} and not parts.scheme and not parts.netloc
    return text if is_ours and text.isprintable() else "/"
