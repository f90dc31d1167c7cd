"""Try it: a row that somebody fills in, the answer with its reasons, and what would change it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from linewright.charts import Axis, Bar, Waterfall
from linewright.interfaces.console.charts import curve
from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.interfaces.console.pictures import occlusion_map, pictures_of
from linewright.model.card.forecast_chart import fan_of

FIELDS = "c."
"""Before the name of a column in the address."""
_MOST_BARS = 15


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for the answer, once something was filled in."""
    row = _row(values)
    asked = {"line": [values["line"]], "row": [msgspec.json.encode(row).decode()]}
    return {"tried": ("try", asked)} if row else {}


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a row may hold, and what was filled in."""
    row, form = _row(values), ask("request-form", line=values["line"])
    filled = {each.name: row.get(each.name, _written(each.example)) for each in form.fields}
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


def _written(example: Any) -> Any:
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


PAGE = Page(
    at=(Entry("try", "/lines/{line}/try", "predict", "Try it", tab="Try it"),),
    template="predictions/try.html.jinja",
    read=read,
    apart=apart,
    query=("prediction",),
    fields=FIELDS,
    is_form=True,
)
