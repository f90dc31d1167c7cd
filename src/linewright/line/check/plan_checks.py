"""Checks of a line file that `plan` reports: those of its settings, and of groups if rows are split by them."""

from linewright.data.facts import Finding
from linewright.line.check.settings_checks import check_settings, is_by_group, not_silenced
from linewright.line.factory import Factory
from linewright.line.spec import LineSpec


def check_plan(factory: Factory, spec: LineSpec) -> tuple[Finding, ...]:
    """Return what a plan can tell of; the table is read only where it is split by groups.

    Nothing of groups where the table cannot be made: a run, or `check`, says why.
    """
    groups: tuple[Finding, ...] = ()
    if is_by_group(spec):
        from linewright.line.check.line_checks import planned_groups  # noqa: PLC0415 -- it reads the table, and polars takes a while to import

        groups = planned_groups(factory, spec)
    return (*not_silenced(spec, groups), *check_settings(factory, spec))
