"""What can go wrong.

LinewrightError
  RequestError           the request is wrong                   exit 2, HTTP 422
    SpecError            the line file is wrong                 exit 2, HTTP 422
    NotFound             nothing has that name or id            exit 2, HTTP 404
    Conflict             it contradicts what is already there   exit 2, HTTP 409
    Denied               it is not allowed                      exit 2, HTTP 403
    Unauthenticated      it does not say who asks               exit 2, HTTP 401
  ContractBreach         the data broke its contract            exit 3, HTTP 409
  GateRefused            the candidate is not good enough       exit 4, HTTP 409
  UserCodeError          code that came with the line failed    exit 5, HTTP 422
  BackendError           something outside failed               exit 7, HTTP 502
    Transient            trying again may help                  exit 6, HTTP 503
      TooMany            too many requests of a kind            exit 6, HTTP 429
    Terminal             trying again will not                  exit 7, HTTP 502
      Corrupt            stored bytes are not what was stored   exit 7, HTTP 502
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar


class LinewrightError(Exception):
    """Something the factory can explain.

    Examples
    --------
    >>> error = SpecError("unknown word", where="lines/a.yaml:3:1", found="tran", allowed="train", hint="write 'train'")
    >>> print(error)
    lines/a.yaml:3:1: unknown word: found 'tran', allowed: train. Next: write 'train'
    >>> error.exit_code, error.http_status
    (2, 422)
    """

    exit_code: ClassVar[int] = 7
    http_status: ClassVar[int] = 500

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        found: object = None,
        allowed: str = "",
        hint: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        self.what, self.where, self.found, self.allowed, self.hint = what, where, found, allowed, hint
        self.details = details or {}
        super().__init__(what)

    def __str__(self) -> str:
        parts: list[str] = []
        if self.found is not None:
            # Line files and requests spell it so, and nobody who reads this needs to know Python.
            found = str(self.found).lower() if isinstance(self.found, bool) else repr(self.found)
            parts.append(f"found {found}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        text = f"{self.where}: {self.what}" if self.where else self.what
        if parts:
            text += ": " + ", ".join(parts)
        return f"{text}. Next: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls cls(*args); these classes take keywords, so rebuild from the parts.
        return _rebuild, (type(self), self.to_parts())

    def to_parts(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this error."""
        return {
            "what": self.what,
            "where": self.where,
            "found": self.found,
            "allowed": self.allowed,
            "hint": self.hint,
            "details": self.details,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values, for `--json` and HTTP answers."""
        found = self.found
        if not (found is None or isinstance(found, (str, int, float, bool))):
            found = repr(found)
        return {"error": type(self).__name__, "message": str(self), **self.to_parts(), "found": found}


def _rebuild(cls: type[LinewrightError], parts: dict[str, Any]) -> LinewrightError:
    return cls(**parts)


class RequestError(LinewrightError):
    """The request is wrong."""

    exit_code = 2
    http_status = 422


class SpecError(RequestError):
    """The line file is wrong."""


class NotFound(RequestError):  # noqa: N818 -- reads as what happened, like FileNotFound
    """Nothing has that name or id."""

    http_status = 404


class Conflict(RequestError):  # noqa: N818
    """It contradicts what is already there."""

    http_status = 409


class Denied(RequestError):  # noqa: N818
    """It is not allowed."""

    http_status = 403


class Unauthenticated(RequestError):  # noqa: N818
    """It does not say who asks."""

    http_status = 401


class ContractBreach(LinewrightError):  # noqa: N818
    """The data broke its contract."""

    exit_code = 3
    http_status = 409


class GateRefused(LinewrightError):  # noqa: N818
    """The candidate is not good enough."""

    exit_code = 4
    http_status = 409


class UserCodeError(LinewrightError):
    """Code that came with the line failed; the factory did not."""

    exit_code = 5
    http_status = 422


class BackendError(LinewrightError):
    """Something outside failed."""

    http_status = 502


class Transient(BackendError):  # noqa: N818
    """Trying again may help."""

    exit_code = 6
    http_status = 503


class TooMany(Transient):
    """Too many requests of a kind; ``details["retry_s"]`` says in how many seconds to try again."""

    http_status = 429


class Terminal(BackendError):  # noqa: N818
    """Trying again will not help."""


class Corrupt(Terminal):
    """Stored bytes are not what was stored."""


@contextmanager
def panics_explained() -> Generator[None]:
    """Turn a panic of a native library into a `Terminal`: it is no `Exception`, so that nothing else would catch it.

    What Python or Linewright itself sends past every `except Exception` (Ctrl-C, the end of the process, a cancelled task) passes.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        name = type(error)
        if name.__module__.partition(".")[0] in {"builtins", "asyncio", "linewright"}:
            raise
        raise Terminal(
            "a library that reads or computes gave up",
            found=f"{name.__name__}: {str(error)[:200]}",
            hint="the file that it read may be damaged; if it is not, report it as a bug of linewright",
        ) from error


def from_json(value: dict[str, Any]) -> LinewrightError:
    """Return the error that `LinewrightError.to_json` described; of a class unknown here, a `Terminal` that says the same.

    Examples
    --------
    >>> from_json(NotFound("no such line", where="claims").to_json())
    NotFound('no such line')
    """
    parts = {
        name: value[name]
        for name in ("what", "where", "found", "allowed", "hint", "details")
        if name in value
    }
    return _classes(LinewrightError).get(str(value.get("error")), Terminal)(**parts)


def of_exit_code(code: int) -> type[LinewrightError]:
    """Return the class of the errors that end a process with this code; `Terminal` for any other code.

    Examples
    --------
    >>> of_exit_code(6).__name__, of_exit_code(-9).__name__
    ('Transient', 'Terminal')
    """
    ways = (RequestError, ContractBreach, GateRefused, UserCodeError, Transient)
    return next((way for way in ways if way.exit_code == code), Terminal)


def _classes(root: type[LinewrightError]) -> dict[str, type[LinewrightError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _classes(child)
    return found
