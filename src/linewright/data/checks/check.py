"""What every check of data is, and the changes of a line file that its findings ask for."""

from linewright.data.facts import Edit, Finding, Scalar, Severity


class Check:
    """A check of data."""

    id: str
    """The line file may disable it by this name."""
    severity: Severity
    """What its findings ask of people by default."""

    def finding(
        self,
        columns: tuple[str, ...],
        remedy: tuple[Edit, ...] = (),
        severity: Severity | None = None,
        /,
        **evidence: Scalar | tuple[Scalar, ...],
    ) -> Finding:
        """Return what it found about columns; without any, it is about the rows."""
        severity = severity or self.severity
        return Finding(check=self.id, severity=severity, columns=columns, evidence=evidence, remedy=remedy)

    def against(
        self, column: str, severity: Severity | None = None, /, **evidence: Scalar | tuple[Scalar, ...]
    ) -> Finding:
        """Return what it found against a column; the remedy is to keep the column from the model."""
        remedy = (Edit(path=("table", "exclude"), value=column, is_item=True),)
        return self.finding((column,), remedy, severity, **evidence)


def in_table(role: str, column: str) -> Edit:
    """Return the change that gives a column a role."""
    return Edit(path=("table", role), value=column)
