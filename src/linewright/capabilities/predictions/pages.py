"""Pages of the console."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from linewright.charts import Axis, Bar, Waterfall
from linewright.data.facts import MASK
from linewright.errors import LinewrightError, NotFound, RequestError
from linewright.interfaces.console.charts import curve
from linewright.interfaces.console.page import MOST_TEXT, Ask, Entry, Page, Rows
from linewright.interfaces.console.pictures import occlusion_map, pictures_of
from linewright.model.card.forecast_chart import fan_of
from linewright.text.lists import read_list

FIELDS = "c."
"""Before the name of a column in the address."""
_MOST_BARS = 15


def _apart_try_row(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for the answer, once something was filled in."""
    row = _row(values)
    asked = {"line": [values["line"]], "row": [msgspec.json.encode(row).decode()]}
    return {"tried": ("try", asked)} if row else {}


def _read_try_row(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a row may hold, and what was filled in."""
    row, form = _row(values), ask("request-form", line=values["line"])
    filled = {each.name: row.get(each.name, _written_try_row(each.example)) for each in form.fields}
    return {
        "form": form,
        "prediction": values["prediction"],
        "filled": filled,
        "draw": _draw,
        "curve": curve,
        "fan": fan_of,
        "occlusion": occlusion_map,
        "pictures": pictures_of(ask, values["line"], filled, values["prediction"]),
    }


def _written_try_row(example: Any) -> Any:
    return list_as_text(example) if isinstance(example, list | tuple) else example


def list_as_text(items: Sequence[Any]) -> str:
    r"""Return a list as its field has it: with commas, or one item a line if an item has a comma.

    Examples
    --------
    >>> list_as_text([1.5, None]), list_as_text(["Matrix, The"])
    ('1.5, null', 'Matrix, The\n')
    """
    texts = ["null" if one is None else str(one) for one in items]
    return "".join(f"{one}\n" for one in texts) if any("," in one for one in texts) else ", ".join(texts)


def _row(values: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(FIELDS): value for name, value in values.items() if name.startswith(FIELDS)}


def _draw(tried: Any, title: str, start: str, rest: str) -> Waterfall:
    """Return how the columns add up to the score, the largest contributions first."""
    found: Mapping[str, Any] = tried.explained["contributions"]
    base, predicted = tried.explained["base"], str(tried.answer["prediction"])
    if isinstance(base, dict):  # of several classes, what speaks for the predicted one
        base, found = base[predicted], found[predicted]
    ordered = sorted(found.items(), key=lambda one: -abs(one[1]))
    steps = [Bar(name=name, value=float(value)) for name, value in ordered[:_MOST_BARS]]
    if len(ordered) > _MOST_BARS:
        steps.append(Bar(name=rest, value=float(sum(value for _, value in ordered[_MOST_BARS:]))))
    unit = str(tried.explained["score_unit"])
    return Waterfall(
        title=title.replace("{column}", ordered[0][0] if ordered else "-"),
        axis=Axis(label=unit, is_signed=True),
        steps=(Bar(name=start, value=float(base)), *steps),
        names="column",
    )


_LONGEST = 8_000
"""Characters of an address that any browser and server take."""


def _read_prediction(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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
    written = {name: "" if cell is None else _written_prediction(cell) for name, cell in cells.items()}
    address = f"/lines/{quote(line)}/try?{urlencode({**written, 'prediction': prediction})}"
    return address if len(address) <= _LONGEST and max(map(len, written.values())) <= MOST_TEXT else None


def _written_prediction(cell: str | float | list[Any]) -> str:
    if isinstance(cell, list):
        return list_as_text(cell)
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


SHOWN = 50
"""Answers of one page."""
MOST_ROWS = 10_000
"""Answers of one CSV file."""
_QUERY = ("key", "model", "answer", "since", "until", "least", "most", "order")


def _read_predictions(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of answers, and the same with more of them for a file."""
    by, line = values["model"], values["line"]
    if by and not by.isdecimal():
        raise RequestError("not a version", where="model", found=by[:40], allowed="a number, such as 3")
    found = ask(
        "predictions",
        line=line,
        key=values["key"].strip() or None,
        by=int(by) if by else None,
        answer=values["answer"] or None,
        between=_ends(values["since"], values["until"]),
        probability=_ends(values["least"], values["most"]),
        order=values["order"] or "newest",
        before=values["before"] or None,
        limit=MOST_ROWS if values["all"] else SHOWN,
    )
    some = found.predictions or ask("predictions", line=line, limit=1).predictions
    answer = some[0].answer if some else {}
    classes = tuple(answer.get("probabilities", ()))
    positive = classes[-1] if classes and "threshold" in answer else None
    return {
        "listed": found,
        "answers": found.predictions[:SHOWN],
        "models": ask("models", line=line).models,
        "classes": classes,
        "positive": positive,
        "is_scored": "score" in answer,
        "rows": _rows(found.predictions, positive),
        "most_rows": MOST_ROWS,
        "is_filtered": any(values[name] for name in _QUERY),
        "address": partial(_address, values),
    }


def _ends(low: str, high: str) -> str | None:
    return f"{low.strip()}/{high.strip()}" if low.strip() or high.strip() else None


def _address(values: Mapping[str, str], **changes: str) -> str:
    changed = {**values, **changes}
    kept = {name: changed[name] for name in (*_QUERY, "before", "all") if changed[name]}
    return f"/lines/{quote(values['line'])}/predictions?{urlencode(kept)}"


def _rows(found: tuple[Any, ...], positive: str | None) -> Rows:
    return Rows(
        (
            *("id", "at", "key", "model", "arm", "answer"),
            f"probability of {positive}" if positive else "probability",
            "label",
        ),
        [
            (
                *(each.id, each.at, each.key, each.model, each.arm),
                _cell(each.answer.get("prediction")),
                _probability(each.answer, positive),
                None if each.label is None else each.label.label,
            )
            for each in found
        ],
    )


def _probability(answer: Mapping[str, Any], positive: str | None) -> float | None:
    shares = answer.get("probabilities")
    return shares.get(positive or answer.get("prediction")) if shares else None


def _cell(said: Any) -> str | float | None:
    return said if said is None or isinstance(said, str | int | float) else str(said)


PAGES = (
    Page(
        at=(Entry("try", "/lines/{line}/try", "predict", "Try it", tab="Try it"),),
        template="predictions/try.html.jinja",
        read=_read_try_row,
        apart=_apart_try_row,
        query=("prediction",),
        fields=FIELDS,
        is_form=True,
    ),
    Page(
        at=(Entry("prediction", "/predictions/{id}", "view-rows", "Prediction"),),
        template="predictions/prediction.html.jinja",
        read=_read_prediction,
        query=("line",),
        title=lambda values: f"Prediction {values['id'][:13]}",
    ),
    Page(
        at=(
            Entry("predictions", "/lines/{line}/predictions", "view-rows", "Predictions", tab="Predictions"),
        ),
        template="predictions/predictions.html.jinja",
        read=_read_predictions,
        query=(*_QUERY, "before", "all"),
    ),
)
