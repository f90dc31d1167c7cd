"""Sensors that fail in rows of a group and a time: a model that learns from these rows takes them for faults of machines."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import polars as pl

from linewright.data.checks.rows import RowCheck, Rows
from linewright.data.dataset.event_time import moments
from linewright.data.facts import Finding
from linewright.data.profile.column import UNUSABLE
from linewright.data.profile.sensor_faults import find_sensor_faults
from linewright.data.spec import NUMBERS, TIMES

_MOST_SERIES = 10_000
"""Columns times groups that are looked at, about five seconds of a processor: of more, the groups with the most rows."""
_MOST_NAMED = 5


class SensorFaults(RowCheck):
    """A column of numbers that is stuck, has spikes, another unit or gaps in some groups for some time, on lines that predict times."""

    id = "sensor-fault"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give for each column and kind of fault the groups that show it."""
        table = rows.data.table
        if table.group is None or table.time is None or table.subject is not None:
            return
        if rows.data.label.event is None:  # else a group is a customer as often as a machine
            return
        group, time = rows.seen.get(table.group), rows.seen.get(table.time)
        if group is None or time is None or UNUSABLE in {group.type, time.type} or time.type not in TIMES:
            return
        columns = [name for name in rows.features if rows.seen[name].type in NUMBERS]
        frame = pl.DataFrame(
            {
                "group": group.values.cast(pl.String),
                "micros": pl.Series(moments(time.values)),
                "time": time.values,
            }
        ).with_columns(
            rows.seen[name].values.cast(pl.Float64).alias(f"x{place}") for place, name in enumerate(columns)
        )
        frame = frame.drop_nulls(["group", "time"])
        most = (
            frame.group_by("group")
            .len()
            .sort(["len", "group"], descending=[True, False])["group"]
            .head(_MOST_SERIES // max(1, len(columns)))
        )
        frame = frame.filter(pl.col("group").is_in(most.to_list()))
        if not columns or frame.is_empty():
            return
        values = {name: frame[f"x{place}"].fill_null(np.nan).to_numpy() for place, name in enumerate(columns)}
        found = find_sensor_faults(frame["group"].to_list(), frame["micros"].to_numpy(), values)
        found.sort(key=lambda one: (columns.index(one.column), one.fault, one.since))
        for (column, fault), faults in groupby(found, lambda one: (one.column, one.fault)):
            shown = list(faults)
            groups = tuple(dict.fromkeys(one.group for one in shown))
            yield self.finding(
                (column,),
                form=fault,
                rows=sum(one.readings for one in shown),
                groups=groups[:_MOST_NAMED],
                count=len(groups),
                by=table.group,
                since=shown[0].since[:10],
                value=shown[0].value,
                usual=shown[0].usual,
            )
