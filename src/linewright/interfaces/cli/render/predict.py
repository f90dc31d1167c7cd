"""Answers for a file, and what became of labels."""

from typing import Any

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.operations.predict import FedBack, Predicted
from linewright.text.numbers import count

_SHOWN = 10
"""Columns of an answer that the terminal shows."""


@renderer.register
def predicted_text(batch: Predicted) -> str:
    """Say how many rows got a prediction of which model, and where these are."""
    shown = "\n".join(f"  {_on_one_line(row)}" for row in batch.first)
    said = (
        f"{count(batch.rows, 'row')} answered by {batch.model} ({short(batch.digest)}): {batch.out}\n{shown}"
    )
    if batch.warned:
        doubts = "\n".join(f"  {text}" for text in batch.warnings)
        said += f"\n{count(batch.warned, 'row')} with values that raise doubt, such as:\n{doubts}"
    if batch.quarantined:
        reasons = "\n".join(f"  {text}" for text in batch.reasons)
        said += (
            f"\n{count(batch.quarantined, 'row')} {'not answered, for it breaks' if batch.quarantined == 1 else 'not answered, for they break'} the contract: {batch.quarantine}"
            f"\n{reasons}"
        )
    if batch.is_cut:
        said += "\nnote: the file ends within a row, without a line end: it was probably broken off there"
    return f"{said}\nnote: {batch.note}" if batch.note else said


def _on_one_line(row: dict[str, Any]) -> str:
    """Return the answer to a row with its first columns; an explanation has one for each column of the table."""
    words = [f"{name}={value}" for name, value in row.items() if value is not None]
    further = len(words) - _SHOWN
    return ", ".join(
        words[:_SHOWN] + ([f"and {count(further, 'further column')}"] if further > 1 else words[_SHOWN:])
    )


@renderer.register
def fed_back_text(came: FedBack) -> str:
    """Say what became of them."""
    said = (
        f"{came.line}: {count(came.accepted, 'label')} accepted, {came.repeated:,} there already, "
        f"{came.unknown:,} about predictions that were never made"
    )
    if came.corrected:
        said += f"; {count(came.corrected, 'label')} corrected"
    if came.unlabelled:
        said += f"; {count(came.unlabelled, 'row')} without a label passed over"
    notes = [f"note: {came.note}"] if came.note else []
    return "\n".join([said, *(_lost(one) for one in came.unknown_first), *notes])


def _lost(unknown: dict[str, str]) -> str:
    name = "id" if "id" in unknown else "key"
    return f"  {unknown['where']}: {name} {unknown[name]!r}: {unknown['why']}"
