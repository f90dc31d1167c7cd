"""Times of day and cron's five fields, in a time zone: at which instants they come."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FORMS = "HH:MM or five fields of cron (minute hour day month weekday), and a time zone: 02:30 Europe/Berlin, 0 6 * * 1-5 Europe/Berlin"
_DAILY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?: (\S+))?")
_CRON = re.compile(r"((?:[\d*,/-]+ ){4}[\d*,/-]+)(?: (\S+))?")
_PART = re.compile(r"(?:(\*)|(\d+)(?:-(\d+))?)(?:/(\d+))?")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_DAYS = 8 * 366
"""Days within which a schedule comes at least once: a 29th of February may be eight years away."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When something is to happen, again and again.

    A time that clocks jump over comes as much later as they jump. Of one that they show twice the first counts; both do where each hour
    is meant.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either: bool
    """Whether one of day and weekday is enough, as in cron where both are named."""
    is_hourly: bool
    """Whether each hour is meant."""
    zone: ZoneInfo

    def last(self, now: datetime) -> datetime | None:
        """Return the newest instant of the schedule at or before another one, in UTC."""
        day = now.astimezone(self.zone).date() + timedelta(days=1)
        for back in range(_DAYS):
            found = [at for at in self._of_day(day - timedelta(days=back)) if at <= now]
            if found:
                return max(found)
        return None

    def following(self, now: datetime) -> datetime | None:
        """Return the first instant of the schedule after another one, in UTC."""
        day = now.astimezone(self.zone).date() - timedelta(days=1)
        for ahead in range(_DAYS):
            found = [at for at in self._of_day(day + timedelta(days=ahead)) if at > now]
            if found:
                return min(found)
        return None

    def _of_day(self, day: date) -> Iterator[datetime]:
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        is_meant = by_day or by_weekday if self.either else by_day and by_weekday
        if day.month not in self.months or not is_meant:
            return
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0, 1) if self.is_hourly else (0,):
                    at = datetime.combine(day, time(hour, minute, fold=fold), self.zone)
                    yield at.astimezone(UTC)


@cache
def read_schedule(text: str) -> Schedule:
    """Return what a text means; without a zone it is UTC.

    Examples
    --------
    >>> noon = datetime(2026, 3, 28, 12, tzinfo=UTC)
    >>> read_schedule("02:30 Europe/Berlin").following(noon).isoformat()
    '2026-03-29T01:30:00+00:00'
    >>> read_schedule("0 6 * * 1").following(noon).isoformat()
    '2026-03-30T06:00:00+00:00'
    """
    text = " ".join(text.split())
    if daily := _DAILY.fullmatch(text):
        fields, zone = [str(int(daily[2])), str(int(daily[1])), "*", "*", "*"], daily[3]
    elif cron := _CRON.fullmatch(text):
        fields, zone = cron[1].split(), cron[2]
    else:
        raise ValueError("this is no schedule")
    minutes, hours, days, months, weekdays = (
        _values(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    try:
        where = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no such time zone: {zone}") from None
    found = Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not fields[2].startswith("*") and not fields[4].startswith("*"),
        is_hourly=fields[1].startswith("*"),
        zone=where,
    )
    if found.following(datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ValueError("this never comes")
    return found


def _values(field: str, name: str, least: int, most: int) -> frozenset[int]:
    values: set[int] = set()
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part!r} is no {name}")
        first = least if found[1] else int(found[2])
        last = most if found[1] or (found[4] and not found[3]) else int(found[3] or found[2])
        step = int(found[4] or 1)
        if not (least <= first <= last <= most and step):
            raise ValueError(f"{part!r} is no {name} from {least} to {most}")
        values.update(range(first, last + 1, step))
    return frozenset(values)
