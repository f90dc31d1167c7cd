"""Runs and predictions in lists, and what was decided about a line."""

from linewright.capabilities.overview.operations.history import (
    History,
    PredictionLine,
    PredictionLines,
    RunLine,
    Runs,
)
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import grid, money
from linewright.store.clock import said
from linewright.text.numbers import count

_NO_WORDS = {"commented": "(its words were removed)"}


@renderer.register
def runs_text(listed: Runs) -> str:
    """Say them one by one: what became of each and why, and what it took."""
    return "\n".join(_run_text(one) for one in listed.runs) or "There is no run yet."


@renderer.register
def history_text(listed: History) -> str:
    """Say it one by one: when, what, by whom and why."""
    entries = (
        f"{said(one.at)}  {one.kind}{f' ({one.how})' if one.how else ''}{f' {one.model}' if one.model else ''}, by {one.by}\n  {one.because or _NO_WORDS.get(one.kind, '')}"
        for one in listed.entries
    )
    return "\n".join(entries) or "Nothing was decided about this line yet."


def _run_text(one: RunLine) -> str:
    promoted = ", promoted" if one.promoted else ""
    return f"{one.run}  {one.line}  {said(one.at)}  {one.state}{promoted}, by {one.by}{_taken(one)}\n  {one.because}"


def _taken(one: RunLine) -> str:
    if one.wall_s is None or one.cpu_s is None:
        return ""
    peak = f", {one.peak_bytes / 2**20:,.0f} MiB" if one.peak_bytes else ""
    cost = "" if one.cost is None else f", {money(one.cost, one.currency or '')}"
    return f", {one.wall_s:,.1f} s, {one.cpu_s:,.1f} CPU s{peak}{cost}"


@renderer.register
def predictions_text(listed: PredictionLines) -> str:
    """Show them as a table."""
    looked = _looked_at(listed)
    if not listed.predictions:
        return "\n".join([f"{listed.line} has given no such answer", *looked])
    head = ("id", "at", "key", "model", "answer", "label")
    more = (
        []
        if listed.next is None
        else [
            f"what follows: linewright predictions {listed.line} --before {listed.next}, with the same options"
        ]
    )
    return "\n".join([*grid(head, [_prediction_cells(one) for one in listed.predictions]), *looked, *more])


def _looked_at(listed: PredictionLines) -> list[str]:
    """Say how many were found, and how far was looked."""
    if listed.found is None:
        return []
    since = (
        ""
        if listed.is_whole or listed.back_to is None
        else f", back to {said(listed.back_to)}; --between FROM/TO looks further back"
    )
    return [f"{listed.found:,} found; looked at {count(listed.looked_at, 'answer')}{since}"]


def _prediction_cells(one: PredictionLine) -> list[str]:
    label = "" if one.label is None else str(one.label.label)
    model = one.model if one.arm == "champion" else f"{one.model} ({one.arm})"
    return [one.id, said(one.at), one.key or "", model, str(one.answer.get("prediction", "")), label]
