"""A prediction: what was sent, what was predicted and by which model, and what turned out to be true."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from linewright.capabilities.predictions.pages.try_row import FIELDS, list_as_text
from linewright.data.facts import MASK
from linewright.errors import LinewrightError, NotFound
from linewright.interfaces.console.charts import curve
from linewright.interfaces.console.page import MOST_TEXT, Ask, Entry, Page
from linewright.interfaces.console.pictures import pictures_of
from linewright.model.card.forecast_chart import fan_of
from linewright.text.lists import read_list

_LONGEST = 8_000
"""Characters of an address that any browser and server take."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a logged answer."""
    shown = ask("show", id=values["id"], line=values["line"] or None)
    if shown.kind != "prediction":
        raise NotFound(
            "no prediction has that id",
            found=values["id"][:80],
            hint=f"it is a {shown.kind}: /evidence/{values['id'][:80]}",
        )
    line = shown.body["line"]
    row = shown.body["row"]
    return {
        "body": shown.body,
        "line": line,
        "try_address": _try_address(ask, line, row, shown.body["id"]),
        "pictures": pictures_of(ask, line, row, shown.body["id"]),
        "curve": curve,
        "fan": fan_of if "times" in shown.body["answer"] else None,
        "listed": listed(shown.body["answer"], shown.body.get("label")),
        "label_text": _label_text(shown.body["answer"], shown.body.get("label")),
    }


def _label_text(answer: Mapping[str, Any], label: Mapping[str, Any] | None) -> Any:
    if label is None or "scores" not in answer:
        return None if label is None else label["label"]
    return ", ".join(read_list(str(label["label"]))) or "[]"


def listed(answer: Mapping[str, Any], label: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the items of an answer that is a list, the best first, each with whether it was taken; none of other answers.

    Examples
    --------
    >>> listed({"prediction": ["a", "b"], "scores": [0.5, 0.25]}, {"label": '["b"]'})
    [{'item': 'a', 'score': 0.5, 'taken': False}, {'item': 'b', 'score': 0.25, 'taken': True}]
    """
    if "scores" not in answer:
        return []
    taken = None if label is None else set(read_list(str(label["label"])))
    pairs = zip(answer["prediction"], answer["scores"], strict=True)
    return [
        {"item": item, "score": score, "taken": None if taken is None else item in taken}
        for item, score in pairs
    ]


def _try_address(ask: Ask, line: str, row: Mapping[str, Any], prediction: str) -> str | None:
    """Return the address at which the row is filled in; `None` if that cannot be, or they may not."""
    try:
        form = ask.if_may("request-form", line=line)
    except LinewrightError:  # the line serves nothing now
        return None
    if form is None or not row:
        return None
    cells = {f"{FIELDS}{each.name}": row[each.name] for each in form.fields if each.name in row}
    if (
        not cells
        or MASK in cells.values()
        or not all(cell is None or isinstance(cell, str | int | float | list) for cell in cells.values())
    ):
        return None
    written = {name: "" if cell is None else _written(cell) for name, cell in cells.items()}
    address = f"/lines/{quote(line)}/try?{urlencode({**written, 'prediction': prediction})}"
    return address if len(address) <= _LONGEST and max(map(len, written.values())) <= MOST_TEXT else None


def _written(cell: str | float | list[Any]) -> str:
    if isinstance(cell, list):
        return list_as_text(cell)
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


PAGE = Page(
    at=(Entry("prediction", "/predictions/{id}", "view-rows", "Prediction"),),
    template="predictions/prediction.html.jinja",
    read=read,
    query=("line",),
    title=lambda values: f"Prediction {values['id'][:13]}",
)
