"""Asking an endpoint from Python: rows in, typed answers out, refusals as the errors that they are."""

import http.client
import math
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast
from urllib.parse import quote, urlsplit

import msgspec

from linewright.errors import Denied, RequestError, Terminal, Transient, from_json

T = TypeVar("T")


class DictsFrame(Protocol):
    """A table that gives its rows as polars does."""

    def to_dicts(self) -> Any:
        """Return a dict a row."""
        ...


class ListFrame(Protocol):
    """A table that gives its rows as pyarrow does."""

    def to_pylist(self) -> Any:
        """Return a dict a row."""
        ...


class RecordsFrame(Protocol):
    """A table that gives its rows as pandas does; its index is not sent."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""
        ...

    def to_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return a dict a row for ``orient="records"``."""
        ...


Table = Sequence[Mapping[str, Any]] | DictsFrame | ListFrame | RecordsFrame
"""Rows by column name, or a DataFrame of polars or pandas, or a table of pyarrow, none of which is imported here."""


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one row."""

    id: str
    """Names the answer in the log; labels refer to it."""
    prediction: str | float | tuple[str | float, ...]
    """A class as spelled in the training data, a number, or a list: of the values of the next steps, or of items."""
    times: tuple[str | int, ...] = ()
    """For forecasts: when the steps are."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """For forecasts: the ends of the 90 % interval of each step."""
    key: str | None = None
    """The row's key, where the line has one."""
    probabilities: dict[str, float] = {}
    """By class; empty for regression."""
    survival: dict[str, float] = {}
    """For times: the share that is left, by time; it never rises."""
    beyond: bool = False
    """For times: whether more than half is left at the last of them."""
    act_by: float | None = None
    """For times of a line with `maintenance`: the time at which coming before a failure costs least, 0 is now; `None`: not before the last."""
    threshold: float | None = None
    """For two classes: the positive one is answered at this probability and above."""
    interval: tuple[float, float, float] | None = None
    """For regression: low, high, and the share of new rows whose truth lies between."""
    scores: tuple[float, ...] = ()
    """Of items: what they were ranked by."""
    history_used: int | None = None
    """Of items: how many of the history the model knows; with 0 they are ranked by popularity."""
    propensities: tuple[float, ...] = ()
    """Of items, if the line explores: how likely each was shown at its position."""
    explored: bool = False
    """Of items: whether the list was drawn."""
    explore: float = 0.0
    """Of items: the share of the lists that is drawn."""
    warnings: tuple[str, ...] = ()
    """What is doubtful in the row."""
    model: str | None = None
    digest: str | None = None
    """The model that answered this row, where it is another than the one that the answer names: a canary."""
    score: float | dict[str, float] | None = None
    """Of anomalies the share of good training rows that are less odd. Else where explanations were asked for: what the model adds up, before calibration; for several classes by class."""
    score_unit: str = ""
    """``log-odds`` of the positive class, ``log-weight`` of each class, ``value``, or of anomalies ``share of good rows``."""
    base: float | dict[str, float] | None = None
    """The score that knows no column; for several classes by class."""
    heat_map: dict[str, tuple[tuple[float, ...], ...]] = {}
    """Of anomalies in pictures, by column: the score of each part, row by row."""
    contributions: dict[str, float | dict[str, float]] = {}
    """What each column added to the base, which adds up to the score; for several classes by class, then by column."""
    occlusion: dict[str, Any] = {}
    """By column of pictures: ``of``, the predicted class, and ``patches``, rows of parts from the top, with by how much its probability
    is less without the part."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to the rows of one request."""

    model: str
    """LINE@VERSION."""
    digest: str
    durability: str
    """``buffered``: in the log, survives the kill of any process; ``durable``: survives power loss; ``none``: the line answers
    while its log cannot be written, and nothing has kept this answer."""
    predictions: tuple[Predicted, ...]
    """In the order of the rows."""


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with one item."""

    item: str
    items: tuple[str, ...]
    """The best first, without the item itself."""
    scores: tuple[float, ...]
    """What they were ranked by."""


class _SimilarAnswer(msgspec.Struct, frozen=True, kw_only=True):
    similar: tuple[Similar, ...]


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of rows that were sent to a source."""

    accepted: int
    repeated: int
    """Rows that were there already; they are not kept twice."""
    counts_in: tuple[str, ...] = ()
    """Feature views whose answers follow the rows within a second; of others, once a run has read them."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of labels."""

    accepted: int
    repeated: int
    """Labels that were there already; they count once."""
    unknown: int
    """Labels about predictions that were never made; they are not kept."""
    unknown_first: tuple[dict[str, str], ...] = ()
    """The first of those, each with its place and why."""
    corrected: int = 0
    """Labels that replaced the one which they name."""


class _Model(msgspec.Struct):
    name: str
    versions: tuple[str, ...]


class Client:
    """One connection to an endpoint, opened when it is first needed. Give each thread its own.

    Parameters
    ----------
    address
        Where the endpoint is, such as ``http://127.0.0.1:8000``.
    timeout_s
        Longest wait, in seconds, for the connection and for each part of an answer.
    token
        Sent as ``Authorization: Bearer`` (default: that of the environment variable ``LINEWRIGHT_TOKEN``, if it is set).

    Raises
    ------
    RequestError
        If it is not an address.
    Denied
        If the token would be readable on the way: ``http://`` is for this machine alone then.

    Notes
    -----
    A certificate that is not trusted is a `RequestError` of each method: ``SSL_CERT_FILE`` names that of another authority.

    Examples
    --------
    >>> with Client("http://127.0.0.1:9") as client:  # nothing listens there
    ...     client.predict("claims", [{"Age": 41}])
    Traceback (most recent call last):
        ...
    linewright.errors.Transient: http://127.0.0.1:9: the endpoint cannot be reached: ...
    """

    def __init__(
        self, address: str = "http://127.0.0.1:8000", *, timeout_s: float = 30.0, token: str | None = None
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RequestError("not an address", found=address, allowed="http://HOST:PORT")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._address, self._base = address, parts.path.rstrip("/")
        token = os.environ.get("LINEWRIGHT_TOKEN", "") if token is None else token
        if token and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise Denied(
                "the token would be readable on the way",
                found=address,
                allowed="https://, and http:// to this machine",
            )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the next request connects again."""
        self._connection.close()

    def predict(self, line: str, rows: Table, *, durable: bool = False, explain: bool = False) -> Answer:
        """Return the answers of a line's champion to rows.

        Parameters
        ----------
        line
            Name of the line.
        rows
            At most 10,000, each by column name; or a DataFrame of polars or pandas, or a table of pyarrow, with as many. Values may
            be numpy's too, dates and times Python's, numpy's or pandas'. `None`, NaN, ``NaT`` and ``NA`` mean "no value";
            infinity is refused.
        durable
            Whether to wait until the answers survive power loss.
        explain
            Whether each answer says what each column contributed to it; then at most 100 rows.

        Raises
        ------
        RequestError
            If a row does not fit (its place is in `where`), no such line is served, or its model cannot be explained; or if a
            value is of a type that JSON has no form for.
        Transient
            If the endpoint cannot be reached or asks to try again later.
        """
        wanted = {"durable": durable, "explain": explain}
        body = {
            "rows": _rows(rows, "rows"),
            **{name: True for name, is_wanted in wanted.items() if is_wanted},
        }
        return self._ask("POST", f"/v1/lines/{quote(line, safe='')}/predict", Answer, body)

    def similar(self, line: str, items: Sequence[str]) -> tuple[Similar, ...]:
        """Return what goes with each of at most 100 items, by the champion of a line that recommends.

        Raises
        ------
        RequestError
            If the line lists no items, or its model does not know one of these.
        Transient
            If the endpoint cannot be reached or asks to try again later.
        """
        path = f"/v1/lines/{quote(line, safe='')}/similar"
        return self._ask("POST", path, _SimilarAnswer, {"items": list(items)}).similar

    def feedback(self, line: str, labels: Table, *, idempotency_key: str | None = None) -> Kept:
        """Hand in the truth; when this returns it survives power loss.

        Parameters
        ----------
        line
            Name of the line.
        labels
            At most 10,000, each ``{"id" or "key": ..., "label": ..., "at": optional time}``; with ``"corrects": ...`` a
            label replaces the one that it names. As for `predict` they may be a table too, with these columns, and their values
            numpy's.
        idempotency_key
            The same labels under the same key get the same answer for 7 days.

        Raises
        ------
        RequestError
            If a label does not fit; `Conflict` if one contradicts what is kept, or corrects another than that. Nothing of
            the batch is kept then.
        Transient
            If the endpoint cannot be reached or asks to try again later.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        path = f"/v1/lines/{quote(line, safe='')}/feedback"
        return self._ask("POST", path, Kept, {"labels": _rows(labels, "labels")}, headers)

    def push(self, source: str, rows: Table, *, new_columns: bool = False) -> Pushed:
        """Send rows to a source that lines read; when this returns they survive power loss.

        Parameters
        ----------
        source
            What line files have behind `push`.
        rows
            At most 10,000, in any form that `predict` takes; a row that is sent again is not kept twice.
        new_columns
            Whether the rows may have columns that no row had before, and lack those that each row had.

        Raises
        ------
        RequestError
            If a row does not fit, or no line has such a source. None of the rows is kept then.
        Transient
            If the endpoint cannot be reached or asks to try again later.
        """
        path = f"/v1/sources/{quote(source, safe='')}/rows"
        said = {"new_columns": True} if new_columns else {}
        return self._ask("POST", path, Pushed, {"rows": _rows(rows, "rows"), **said})

    def model(self, line: str) -> str:
        """Return which model of a line serves now, as LINE@VERSION."""
        found = self._ask("GET", f"/v2/models/{quote(line, safe='')}", _Model)
        return f"{found.name}@{found.versions[0]}"

    def schema(self, line: str) -> dict[str, Any]:
        """Return the JSON Schema of a row of a line."""
        return self._ask("GET", f"/v1/lines/{quote(line, safe='')}/schema", dict[str, Any])

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        sent = None if body is None else _JSON.encode(body)
        wanted = {**({} if sent is None else {"Content-Type": "application/json"}), **(headers or {})}
        try:
            status, answer = self._exchange(method, self._base + path, sent, wanted)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise RequestError(
                f"its certificate is not trusted: {error.verify_message}",
                where=self._address,
                hint="set SSL_CERT_FILE to the certificate of the authority that signed it",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Transient(
                f"the endpoint cannot be reached: {error or type(error).__name__}",
                where=self._address,
                hint="`linewright up` serves a factory; `linewright status` says where",
            ) from error
        try:
            if status >= 400:
                raise from_json(msgspec.json.decode(answer, type=dict[str, Any]))
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise Terminal(
                "what answers there is no endpoint of Linewright",
                where=self._address,
                found=f"status {status}: {answer[:100]!r}",
            ) from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        was_open = self._connection.sock is not None
        try:
            return self._once(method, path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            if not was_open:
                raise
            # An endpoint closes a connection that was idle for some seconds, before it reads anything more from it.
            self.close()
            return self._once(method, path, body, headers)

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, body=body, headers={**self._headers, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rows(table: Table, where: str) -> Any:
    """Return rows as JSON can have them, of whatever gives rows.

    Raises
    ------
    RequestError
        If a number is infinite: JSON has none, and written as null it would be taken for "no value".
    """
    frame = cast("Any", table)
    if callable(getattr(frame, "to_dicts", None)):
        rows = frame.to_dicts()
    elif callable(getattr(frame, "to_pylist", None)):
        rows = frame.to_pylist()
    elif callable(getattr(frame, "to_dict", None)) and hasattr(frame, "columns"):
        rows = frame.to_dict(orient="records")
    else:
        rows = frame
    # What is no list of rows is refused by the endpoint, which says what it wants.
    known = (
        [(i, row) for i, row in enumerate(rows) if isinstance(row, dict)]
        if isinstance(rows, list | tuple)
        else []
    )
    for number, row in cast("list[tuple[int, dict[str, Any]]]", known):
        for name, value in row.items():
            if isinstance(value, float | Decimal) and math.isinf(value):
                raise _infinite(value, where=f"{where}[{number}].{name}")
    return rows


def _infinite(value: float | Decimal, where: str = "") -> RequestError:
    return RequestError(
        "not a finite number",
        where=where,
        found=str(value),
        allowed="a finite number, or None for no value",
    )


def _plain(value: Any) -> Any:
    """Return what msgspec does not know as a value that it does: of numpy, pandas and pyarrow, by what it can do."""
    if isinstance(value, str):
        return str(value)
    kind = type(value).__name__
    if isinstance(value, datetime) or kind in {"NAType", "NaTType"}:
        return None if kind in {"NAType", "NaTType"} else _moment(value)
    if kind == "datetime64":
        moment = value.astype("datetime64[us]").tolist()  # of nanoseconds numpy gives a number
        return None if moment is None else _moment(moment)
    for name in ("as_py", "to_dict", "tolist", "to_list"):
        if callable(to_plain := getattr(value, name, None)):
            plain = to_plain()
            if isinstance(plain, float) and math.isinf(plain):
                raise _infinite(plain)
            return plain
    raise RequestError(
        f"the client cannot send a {kind}",
        found=repr(value)[:100],
        allowed="texts, numbers, booleans, dates, times, None, and what numpy, pandas and pyarrow have for them",
    )


def _moment(value: datetime) -> str:
    """Return a time as text: of a midnight without a zone the date, which is how these libraries have dates; both mean one instant."""
    text = value.isoformat(timespec="microseconds")
    return text.removesuffix("T00:00:00.000000")


_JSON = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
