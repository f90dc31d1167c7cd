"""Values of SQL as the JSON values of a request row."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any


def to_json(value: Any, to: str) -> Any:
    """Return a value that SQL gave as a request would say it, for a column of a type: a row that holds it is read to the same bits.

    Texts lose the blanks around them, and an empty one is no value, as in a table that SQL made; neither is NaN.
    Times without a zone are UTC.

    Examples
    --------
    >>> to_json(Decimal("0.30"), "number"), to_json(" a ", "text"), to_json(float("nan"), "number")
    (0.3, 'a', None)
    >>> to_json(datetime(2020, 1, 1), "date"), to_json(datetime(2020, 1, 1), "datetime")
    ('2020-01-01', '2020-01-01T00:00:00Z')
    """
    match value:
        case str():
            return value.strip() or None
        case float():
            return value if value == value else None  # noqa: PLR0124 -- NaN
        case Decimal():
            return int(value) if to == "integer" and value == value.to_integral_value() else float(value)
        case datetime():
            is_day = to == "date" and value.time() == time(0)
            return value.date().isoformat() if is_day else f"{value.isoformat()}Z"
        case date():
            return value.isoformat()
        case _:
            return value
