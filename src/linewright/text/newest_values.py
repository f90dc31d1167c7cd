"""The newest values of series as bytes: what a forecast of a series is made of if a request names the series alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.text.steps import step_numbers

MOST_VALUES = 5_000_000
"""Values of all series together that are kept: 40 MB in memory."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[str, ...]
    time: str
    type: str
    label: str
    every: str
    max_age: int | None
    names: tuple[tuple[str, ...], ...]
    base: str | msgspec.UnsetType = msgspec.UNSET
    version: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class NewestValues:
    """The newest values of each series.

    Examples
    --------
    >>> made = NewestValues.of(
    ...     keys=("store",),
    ...     time="day",
    ...     type="date",
    ...     label="sold",
    ...     every="1d",
    ...     max_age=None,
    ...     series=[(("a",), 86_400_000_000, np.array([1.0, np.nan, 3.0]))],
    ... )
    >>> again = NewestValues.read(made.to_bytes())
    >>> again.place(("a",)), again.place(("b",)), again.values_at(0)
    (0, None, [1.0, None, 3.0])
    """

    keys: tuple[str, ...]
    """Columns that name a series; none if there is only one."""
    time: str
    """Column of the time of the newest value."""
    type: str
    """Type of that column."""
    label: str
    every: str
    """Step between two values, see `text.steps`."""
    max_age: int | None
    """Steps that the newest value may be old; `None` for any."""
    names: tuple[tuple[str, ...], ...]
    """Of each series what it has in `keys`."""
    at: NDArray[np.int64]
    """Time of the newest value of each series: microseconds since 1970, or a number; shape (n,)."""
    ends: NDArray[np.int64]
    """Ends of the series among all values, shape (n,)."""
    values: NDArray[np.float64]
    """Those of one series after those of the other, the newest last; NaN for a step without one."""
    base: str | None = None
    """Digest of the bytes whose series these values go on with; `None` if they stand by themselves."""

    @classmethod
    def of(
        cls,
        *,
        keys: tuple[str, ...],
        time: str,
        type: str,  # noqa: A002
        label: str,
        every: str,
        max_age: int | None,
        series: Sequence[tuple[tuple[str, ...], int, NDArray[np.float64]]],
    ) -> "NewestValues":
        """Put them together from the name of each series, the time of its newest value, and its values."""
        return cls(
            keys=keys,
            time=time,
            type=type,
            label=label,
            every=every,
            max_age=max_age,
            names=tuple(name for name, _, _ in series),
            at=np.array([at for _, at, _ in series], dtype=np.int64),
            ends=np.cumsum([len(values) for _, _, values in series], dtype=np.int64),
            values=np.concatenate([np.empty(0), *(values for _, _, values in series)]),
        )

    def to_bytes(self) -> bytes:
        """Return them as bytes, equal for equal ones: one line of JSON, and the numbers as little-endian arrays."""
        head = _Head(
            keys=self.keys,
            time=self.time,
            type=self.type,
            label=self.label,
            every=self.every,
            max_age=self.max_age,
            names=self.names,
            base=self.base or msgspec.UNSET,
        )
        arrays = (self.at.astype("<i8"), self.ends.astype("<i8"), self.values.astype("<f8"))
        return b"\n".join([msgspec.json.encode(head), b"".join(one.tobytes() for one in arrays)])

    @classmethod
    def read(cls, body: bytes) -> "NewestValues":
        """Return what `to_bytes` wrote."""
        line, _, rest = body.partition(b"\n")
        try:
            head = msgspec.json.decode(line, type=_Head)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"not the values of series: {error}") from error
        n = len(head.names)
        if len(rest) < 16 * n or len(rest) % 8:
            raise ValueError("values of series are missing")
        at, ends = np.frombuffer(rest, "<i8", 2 * n).reshape(2, n)
        values = np.frombuffer(rest, "<f8", offset=16 * n)
        if len(values) != (int(ends[-1]) if n else 0) or (np.diff(ends, prepend=0) <= 0).any():
            raise ValueError("the values are not as many as the series say")
        return cls(
            keys=head.keys,
            time=head.time,
            type=head.type,
            label=head.label,
            every=head.every,
            max_age=head.max_age,
            names=head.names,
            at=at,
            ends=ends,
            values=values,
            base=head.base or None,
        )

    def followed_by(self, newer: "NewestValues") -> "NewestValues":
        """Return the values of these series with those of `newer` behind them, as many as the longest series has now.

        Examples
        --------
        >>> def made(at, values):
        ...     return NewestValues.of(
        ...         keys=("store",),
        ...         time="n",
        ...         type="integer",
        ...         label="sold",
        ...         every="1",
        ...         max_age=None,
        ...         series=[(("a",), at, np.array(values))],
        ...     )
        >>> both = made(7, [5.0, 6.0, 7.0]).followed_by(made(9, [9.0]))
        >>> both.values_at(0), both.at.tolist()
        ([7.0, None, 9.0], [9])
        """
        most = int(np.diff(self.ends, prepend=0).max(initial=0))
        series: list[tuple[tuple[str, ...], int, NDArray[np.float64]]] = []
        for place, name in enumerate(self.names):
            at, values, later = int(self.at[place]), self.array_at(place), newer.place(name)
            if later is not None:
                moment, own = int(newer.at[later]), newer.array_at(later)
                then, now = step_numbers(np.array([at, moment], dtype=np.int64), self.every).tolist()
                own = own[max(len(own) - (now - then), 0) :]
                gap = min(max(now - then - len(own), 0), most)
                values = np.concatenate([values, np.full(gap, np.nan), own])[-most:]
                at = max(at, moment)
            series.append((name, at, values))
        return NewestValues.of(
            keys=self.keys,
            time=self.time,
            type=self.type,
            label=self.label,
            every=self.every,
            max_age=self.max_age,
            series=series,
        )

    @cached_property
    def _places(self) -> dict[tuple[str, ...], int]:
        return {name: place for place, name in enumerate(self.names)}

    def place(self, name: tuple[str, ...]) -> int | None:
        """Return which series has a name; `None` if none has."""
        return self._places.get(name)

    def array_at(self, place: int) -> NDArray[np.float64]:
        """Return the values of a series."""
        start = int(self.ends[place - 1]) if place else 0
        return self.values[start : int(self.ends[place])]

    def values_at(self, place: int) -> list[float | None]:
        """Return the values of a series as JSON has them."""
        return [None if one != one else one for one in self.array_at(place).tolist()]  # noqa: PLR0124 -- NaN
