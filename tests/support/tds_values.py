"""Values as TDS 7.4 has them (MS-TDS 2.2.5.4 to 2.2.5.6): what a server of tests sends, and the parameters that it gets."""

import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

COLLATION = bytes.fromhex("0904d00034")
"""Latin1_General_CI_AS."""
_FIRST = date(1, 1, 1)
_1900 = datetime(1900, 1, 1)
_NULL = 2**64 - 1
_DECIMAL_BYTES = {9: 5, 19: 9, 28: 13, 38: 17}


class WireType(NamedTuple):
    """A type of columns."""

    info: bytes
    """Its TYPE_INFO."""
    encode: Callable[[Any], bytes]
    """Returns a value that is not null with its length."""
    user: int = 0
    """The number of the type of users."""


def _sized(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _chunks(data: bytes) -> bytes:
    """Return it in parts, as long values come."""
    parts = [data[at : at + 3_000] for at in range(0, len(data), 3_000)]
    return (
        struct.pack("<Q", len(data)) + b"".join(struct.pack("<I", len(one)) + one for one in parts) + bytes(4)
    )


def _fixed(form: str) -> Callable[[Any], bytes]:
    return lambda value: _sized(struct.pack(form, value))


def _ticks(at: time | datetime) -> bytes:
    micros = ((at.hour * 60 + at.minute) * 60 + at.second) * 10**6 + at.microsecond
    return (micros * 10).to_bytes(5, "little")


def _days(at: date) -> bytes:
    return (at.toordinal() - _FIRST.toordinal()).to_bytes(3, "little")


def _with_zone(at: datetime) -> bytes:
    there = at.astimezone(UTC)
    minutes = int((at.utcoffset() or timedelta()).total_seconds()) // 60
    return _sized(_ticks(there) + _days(there) + struct.pack("<h", minutes))


def _datetime(at: datetime) -> bytes:
    since = at - _1900
    return _sized(struct.pack("<iI", since.days, round((since.seconds + since.microseconds / 10**6) * 300)))


def _smalldatetime(at: datetime) -> bytes:
    since = at - _1900
    return _sized(struct.pack("<HH", since.days, since.seconds // 60))


def _money(amount: Decimal) -> bytes:
    whole = int(amount * 10_000)
    return _sized(struct.pack("<iI", whole >> 32, whole & 0xFFFFFFFF))


def decimal_type(precision: int, scale: int) -> WireType:
    """Return the type of exact numbers."""
    size = next(size for most, size in _DECIMAL_BYTES.items() if precision <= most)

    def encode(number: Decimal | int) -> bytes:
        sign, digits, exponent = Decimal(number).as_tuple()
        whole = int("".join(map(str, digits))) * 10 ** (int(exponent) + scale)
        return _sized(bytes([not sign]) + whole.to_bytes(size - 1, "little"))

    return WireType(bytes([106, size, precision, scale]), encode)


def _nvarchar(text: str) -> bytes:
    data = text.encode("utf-16-le")
    return struct.pack("<H", len(data)) + data


def _varchar(text: str) -> bytes:
    data = text.encode("cp1252")
    return struct.pack("<H", len(data)) + data


_NAMED = b"".join(bytes([len(name)]) + name.encode("utf-16-le") for name in ("shop", "sys", "hierarchyid"))
TYPES: Mapping[str, WireType] = {
    "bigint": WireType(b"\x26\x08", _fixed("<q")),
    "int": WireType(b"\x26\x04", _fixed("<i")),
    "smallint": WireType(b"\x26\x02", _fixed("<h")),
    "tinyint": WireType(b"\x26\x01", _fixed("<B")),
    "bit": WireType(b"\x68\x01", _fixed("<B")),
    "float": WireType(b"\x6d\x08", _fixed("<d")),
    "real": WireType(b"\x6d\x04", _fixed("<f")),
    "money": WireType(b"\x6e\x08", _money),
    "smallmoney": WireType(b"\x6e\x04", lambda amount: _sized(struct.pack("<i", int(amount * 10_000)))),
    "date": WireType(b"\x28", lambda at: _sized(_days(at))),
    "time": WireType(b"\x29\x07", lambda at: _sized(_ticks(at))),
    "datetime2": WireType(b"\x2a\x07", lambda at: _sized(_ticks(at) + _days(at))),
    "datetimeoffset": WireType(b"\x2b\x07", _with_zone),
    "datetime": WireType(b"\x6f\x08", _datetime),
    "smalldatetime": WireType(b"\x6f\x04", _smalldatetime),
    "uniqueidentifier": WireType(b"\x24\x10", lambda text: _sized(uuid.UUID(text).bytes_le)),
    "nvarchar(max)": WireType(b"\xe7\xff\xff" + COLLATION, lambda text: _chunks(text.encode("utf-16-le"))),
    "nvarchar": WireType(b"\xe7\x40\x1f" + COLLATION, _nvarchar),
    "nchar": WireType(b"\xef\x14\x00" + COLLATION, lambda text: _nvarchar(text.ljust(10))),
    "varchar": WireType(b"\xa7\x40\x1f" + COLLATION, _varchar),
    "varchar(max)": WireType(b"\xa7\xff\xff" + COLLATION, lambda text: _chunks(text.encode("cp1252"))),
    "xml": WireType(b"\xf1\x00", lambda text: _chunks(text.encode("utf-16-le"))),
    "varbinary": WireType(b"\xa5\x40\x1f", lambda data: struct.pack("<H", len(data)) + data),
    "rowversion": WireType(b"\xad\x08\x00", lambda data: struct.pack("<H", len(data)) + data, user=80),
    "sql_variant": WireType(b"\x62\x49\x1f\x00\x00", lambda data: data),
    "hierarchyid": WireType(b"\xf0\x7c\x03" + _NAMED + b"\x00\x00", _chunks),
}
_LONG = frozenset({"nvarchar(max)", "varchar(max)", "xml", "hierarchyid"})


class Column(NamedTuple):
    """A column of an answer."""

    name: str
    type: WireType

    def described(self) -> bytes:
        """Return it as COLMETADATA has it: it may be null."""
        name = bytes([len(self.name)]) + self.name.encode("utf-16-le")
        return struct.pack("<IH", self.type.user, 1) + self.type.info + name


def row_of(columns: list[Column], values: list[Any] | tuple[Any, ...]) -> bytes:
    """Return a row: with a mark for each null, if there is any."""
    data = b"".join(
        column.type.encode(value) for column, value in zip(columns, values, strict=True) if value is not None
    )
    if None not in values:
        return b"\xd1" + data
    nulls = sum(1 << n for n, value in enumerate(values) if value is None)
    return b"\xd2" + nulls.to_bytes((len(columns) + 7) // 8, "little") + data


class Parameters:
    """Reads the parameters of a request."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> Any:
        """Return the next number."""
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return value

    def raw(self, size: int) -> bytes:
        """Return the next bytes."""
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self, letters: int) -> str:
        """Return the next text."""
        return self.raw(2 * letters).decode("utf-16-le")

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing more."""
        return self._at >= len(self._data)

    def parameter(self) -> tuple[str, Any]:
        """Return the next one with its name."""
        name = self.text(self.take("B"))
        self.take("B")
        return name, self._value(self.take("B"))

    def _value(self, kind: int) -> Any:
        if kind == 0xE7:
            most, _ = self.take("H"), self.raw(5)
            return self._long() if most == 0xFFFF else self._short()
        if kind in {0x29, 0x2A, 0x2B}:
            scale = self.take("B")
            return self._moment(self.raw(self.take("B")), kind, scale)
        if kind == 0x28:
            days = self.raw(self.take("B"))
            return date.fromordinal(_FIRST.toordinal() + int.from_bytes(days, "little")) if days else None
        self.take("B")
        data = self.raw(self.take("B"))
        if not data:
            return None
        if kind == 0x6D:
            return struct.unpack("<d", data)[0]
        return bool(data[0]) if kind == 0x68 else int.from_bytes(data, "little", signed=len(data) > 1)

    def _short(self) -> str | None:
        size = self.take("H")
        return None if size == 0xFFFF else self.text(size // 2)

    def _long(self) -> str | None:
        if self.take("Q") == _NULL:
            return None
        parts = []
        while size := self.take("I"):
            parts.append(self.raw(size))
        return b"".join(parts).decode("utf-16-le")

    def _moment(self, data: bytes, kind: int, scale: int) -> datetime | time | None:
        if not data:
            return None
        size = 3 if scale < 3 else 4 if scale < 5 else 5
        since = timedelta(microseconds=int.from_bytes(data[:size], "little") * 10**6 // 10**scale)
        if kind == 0x29:
            return (datetime(1, 1, 1) + since).time()
        at = datetime(1, 1, 1) + timedelta(days=int.from_bytes(data[size : size + 3], "little")) + since
        if kind == 0x2A:
            return at
        zone = timezone(timedelta(minutes=struct.unpack("<h", data[size + 3 :])[0]))
        return at.replace(tzinfo=UTC).astimezone(zone)
