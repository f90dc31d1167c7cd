"""What an audit of feature views says."""

from typing import Any

import msgspec

from linewright.errors import GateRefused


class FeatureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A value in a logged row that is not what its view knew."""

    id: str
    """Of the prediction."""
    at: str
    view: str
    column: str
    logged: Any
    computed: Any


class FeatureAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Logged rows compared with what the sources of their feature views say."""

    line: str
    rows: int
    """Rows that got columns of views."""
    values: int
    """Values that were compared."""
    differ: int
    """Rows of which a value differs."""
    behind: int
    """Rows that would have other values if all had counted that was known as they came: records were made before."""
    first: tuple[FeatureDifference, ...] = ()
    """The first values that differ, the newest row first."""

    @property
    def exit_code(self) -> int:
        """That of `GateRefused` if a row differs, else 0."""
        return GateRefused.exit_code if self.differ else 0
