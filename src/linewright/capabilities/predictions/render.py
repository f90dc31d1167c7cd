"""Terminal texts of results."""

from typing import Any

from linewright.capabilities.predictions.operations import FedBack, Predicted, PredictedJob
from linewright.capabilities.predictions.pictures import KeptPicture, ShownPicture
from linewright.capabilities.predictions.try_row import RequestField, RequestForm, Tried, WouldChange
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.text.numbers import count


@renderer.register
def shown_picture_text(shown: ShownPicture) -> str:
    """Say what it is; a terminal shows no pictures."""
    return (
        f"{shown.digest}: {shown.width} x {shown.height} pixels as it is shown (--json has the PNG in base64)"
    )


@renderer.register
def kept_picture_text(kept: KeptPicture) -> str:
    """Say what a row names it by."""
    return f"{kept.digest}: {kept.media_type}, {kept.width} x {kept.height} pixels"


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


@renderer.register
def predicted_job_text(made: PredictedJob) -> str:
    """Say how many rows got a prediction of which model, and where these are."""
    rows = count(made.rows, "new row" if made.only_new else "row")
    lines = [f"{rows} predicted by {made.model}{f': {made.to}' if made.to else ', so nothing was written'}"]
    if made.quarantined:
        lines.append(f"{count(made.quarantined, 'row')} left out, since the contract is broken")
        lines += [f"  {text}" for text in made.reasons]
    return "\n".join(lines)


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


@renderer.register
def form_text(form: RequestForm) -> str:
    """Say what a row may hold, one line a column."""
    width = max((len(one.name) for one in form.fields), default=0)
    lines = [f"{form.model} predicts {form.label}; a row has"]
    for one in form.fields:
        allowed = f", one of {', '.join(one.allowed[:_SHOWN])}" if one.allowed else ""
        ends = f", {one.low:g} to {one.high:g}" if one.low is not None and one.high is not None else ""
        example = "" if one.example is None else f", such as {one.example}"
        lines.append(f"  {one.name:<{width}}  {one.type}{allowed}{ends}{example}{_of_views(one)}")
    return "\n".join(lines)


def _of_views(field: RequestField) -> str:
    if field.view is not None:
        return f"; of feature view {field.view!r}, may be sent instead of being looked up"
    views = ", ".join(map(repr, field.looks_up))
    return f"; feature view {views} is looked up by it" if views else ""


@renderer.register
def tried_text(tried: Tried) -> str:
    """Say the answer and what would change it."""
    said = {name: value for name, value in tried.answer.items() if value is not None}
    lines = [f"{tried.model} answers {', '.join(_part(name, value) for name, value in said.items())}"]
    lines += [f"  warning    {text}" for text in tried.warnings]
    lines += [f"  {_change_text(one)}" for one in tried.changes]
    lines.append(
        f"  {count(tried.looked_at, 'change')} of {count(tried.columns, 'column')} looked at; nothing was logged"
    )
    return "\n".join(lines)


def _part(name: str, value: Any) -> str:
    """Return a part of an answer; of a curve a few of its times."""
    if name != "survival":
        return f"{name}={value}"
    times = list(value)
    shown = dict.fromkeys((times[0], times[len(times) // 2], times[-1]))
    return "left " + ", ".join(f"{value[at]:.3g} at {at}" for at in shown)


def _change_text(one: WouldChange) -> str:
    chance = "" if one.probability is None else f" (probability {one.probability:.3g})"
    return f"{one.column} {one.to} in place of {one.now}: {one.prediction}{chance}"
