"""Checking a line: is the file right, and do the data keep the contract. Nothing is run, nothing is kept."""

from collections.abc import Sequence

from linewright.data.contract import breach, check
from linewright.data.facts import Finding
from linewright.data.read import read_source
from linewright.data.table import build_table
from linewright.errors import SpecError
from linewright.line.factory import Factory
from linewright.line.file import unsupported
from linewright.line.spec import LineSpec
from linewright.model.spec import FairnessGate


def check_line(factory: Factory, name: str) -> tuple[int, int, tuple[Finding, ...]]:
    """Return (rows that keep the contract, rows that would go to quarantine, rules that did not hold).

    Raises
    ------
    SpecError
        If the line file is wrong, or asks for a station that does not exist yet.
    ContractBreach
        If the data break a rule that stops the run.
    """
    path = factory.path_of(name)
    spec = factory.line(name)
    refuse(unsupported(spec, path))
    raws = [read_source(source, one, factory.root) for source, one in spec.sources.items()]
    checked = check(build_table(raws, spec), spec)
    if checked.stop is not None:
        raise breach(checked, None)
    refuse_unknown_groups(spec, checked.frame.columns, where=str(path))
    return checked.frame.height, len(checked.quarantined), checked.findings


def refuse_unknown_groups(spec: LineSpec, columns: Sequence[str], *, where: str) -> None:
    """Refuse a fairness gate over a column that the table does not keep."""
    for number, gate in enumerate(spec.gates):
        if isinstance(gate, FairnessGate) and gate.fairness not in columns:
            raise SpecError(
                "the table keeps no such column",
                where=f"{where}: gates[{number}].fairness",
                found=gate.fairness,
                allowed=", ".join(columns),
                hint="name it in contract.columns, or in table.exclude if the model shall not see it",
            )


def refuse(errors: list[SpecError]) -> None:
    """Raise the first error, which then carries all of them; nothing where there is none."""
    if not errors:
        return
    first = errors[0]
    parts = first.to_parts()
    parts["details"] = {"errors": [error.to_json() for error in errors]}
    raise SpecError(**parts)
