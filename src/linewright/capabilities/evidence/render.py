"""What answers for a model: its card, what an id stands for, what a claim rests on, a rebuilt model, a replayed answer."""

from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.capabilities.evidence.operations import Because, Card, Shown
from linewright.capabilities.evidence.rebuild.compare import Answers, Rebuilding
from linewright.capabilities.evidence.replay import Replayed
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import grid, short
from linewright.serve.rows.scorer import TOLERANCE
from linewright.store.clock import said
from linewright.text.numbers import count

_COLUMN = (
    *("line", "column", "feature view", "computes", "dataset", "model", "features"),
    "loss if shuffled",
)
_SHOWN = 12
"""Contributions that are told in text, the largest first."""


@renderer.register
def card_text(card: Card) -> str:
    """Return the card."""
    return card.html or f"{card.markdown}\nAs a page: linewright card {card.model} --html > card.html"


@renderer.register
def shown_text(shown: Shown) -> str:
    """Return the value, indented; of a column, what is made of it as a table."""
    if shown.kind == "column":
        return "\n".join(_made_of_column(shown.body["lineage"]))
    body = msgspec.json.format(msgspec.json.encode(shown.body), indent=2).decode()
    of_views = _from_views(shown.body) if shown.kind == "prediction" else []
    return "\n".join([f"{shown.kind} {shown.id}", body, *of_views])


def _from_views(body: Mapping[str, Any]) -> list[str]:
    """Say which values of a prediction's row came of feature views: how old what counted was, and up to which moment it was known."""
    found = [each for each in (body.get("lineage") or {}).get("features", ()) if each["view"]]
    rows = [
        [
            each["view"],
            each["column"],
            _json(body["row"].get(each["column"])),
            "" if each["age_s"] is None else f"{each['age_s']:,.1f} s",
            said(each["known"]) if each["known"] else "",
            short(each["record"]) if each["record"] else "nothing known" if each["known"] else "",
        ]
        for each in found
    ]
    return grid(("feature view", "column", "value", "age", "known by", "record"), rows) if rows else []


def _made_of_column(lineage: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            use["line"],
            use["column"],
            use["view"],
            "says which rows count" if use["how"] == "rows" else use["says"],
            short(use["dataset"]),
            model["model"] if model else "",
            ", ".join(model["features"]) if model else "",
            f"{model['rise']:.4g}" if model and model["rise"] is not None else "",
        ]
        for use in lineage["uses"]
        for model in use["models"] or [None]
    ]
    of = [
        f"  made of {one['source']}.{one['column']}{', which says which rows count' if one['how'] == 'rows' else ''}"
        for one in lineage["of"]
    ]
    return [f"{lineage['column']}: {lineage['reads']}", *of, *grid(_COLUMN, rows, numbers=(7,))]


@renderer.register
def because_text(claim: Because) -> str:
    """Return the tree of evidence."""
    return "\n".join(_tree(claim, 0, set()))


def _tree(claim: Because, depth: int, told: set[str]) -> list[str]:
    """Say a claim and what it rests on; what was told above is not told again."""
    if claim.id in told:
        return []
    told.add(claim.id)
    said = f"{'  ' * depth}{claim.kind} {short(claim.id)}: {claim.says}"
    return [said, *(line for part in claim.rests_on for line in _tree(part, depth + 1, told))]


def _answers_text(answers: Answers) -> str:
    """Say it in a sentence."""
    asked = f"on {count(answers.rows, 'test row')} and {count(answers.golden, 'golden row')}"
    if answers.largest is None:
        return f"they answer another question {asked}"
    if answers.largest == 0 and not answers.decisions:
        return f"equal to the bit {asked}"
    others = f", {count(answers.decisions, 'other decision')}" if answers.decisions else ""
    return f"largest difference {answers.largest:.2g} {asked}{others} (rounding explains {answers.bound:g})"


@renderer.register
def rebuilding_text(rebuilt: Rebuilding) -> str:
    """Say how near it came, what differs, and what may explain it."""
    lines = [f"{rebuilt.model}  {rebuilt.level}: {rebuilt.says}"]
    for one in rebuilt.parts:
        lines.append(f"  {one.name:<12}{'same' if one.is_same else 'OTHER'}  {one.recorded}")
        lines += [f"                {text}" for text in one.differs]
    if rebuilt.answers is not None:
        lines.append(f"  answers     {_answers_text(rebuilt.answers)}")
    if rebuilt.metric is not None and rebuilt.metric_rebuilt is not None:
        known = rebuilt.metric.low is not None and rebuilt.metric.high is not None
        ends = f" [{rebuilt.metric.low:.4g}, {rebuilt.metric.high:.4g}]" if known else ""
        lines.append(
            f"  metric      {rebuilt.metric.name} {rebuilt.metric.value:.6g}{ends}, now {rebuilt.metric_rebuilt:.6g}"
        )
    lines.append(f"  workers     {rebuilt.workers}")
    if not rebuilt.is_noted:
        lines.append(
            "  then        its environment was not noted: only the libraries that fitted it are known"
        )
    nothing = "the environment does not" if rebuilt.is_noted else "the versions of these libraries do not"
    lines += [f"  differs     {text}" for text in rebuilt.environment or (nothing,)]
    if rebuilt.exit_code:
        lines.append(
            "Next: rebuild it where the lines above say the same, or train anew: "
            f"linewright run {rebuilt.model.partition('@')[0]}"
        )
    return "\n".join(lines)


@renderer.register
def replayed_text(played: Replayed) -> str:
    """Say whether the model still says so, what it said, and what turned out to be true."""
    if played.difference == 0:
        verdict = "the same answer, to the bit"
    elif played.difference <= TOLERANCE:
        verdict = f"the same answer within rounding ({played.difference:.1e})"
    else:
        verdict = "ANOTHER ANSWER"
    truth = (
        "not known yet" if played.label is None else f"{played.label.label} (since {played.label.received})"
    )
    before = "".join(
        f"; before that {one.label}, from {one.received} to {one.replaced}"
        for one in reversed(played.label_before)
    )
    lines = [
        f"prediction {played.id}: {verdict}",
        f"  model     {played.model} ({played.digest})",
        f"  asked     {played.at}, by {played.via}",
        f"  row       {_json(played.row)}",
        f"  logged    {_json(played.logged)}",
        f"  computed  {_json(played.computed)}",
        f"  truth     {truth}{before}",
        *_explained_text(played.explained, played.computed),
    ]
    if played.exit_code:
        lines.append("Next: linewright verify checks the bytes of the model and the record")
    return "\n".join(lines)


def _explained_text(explained: Mapping[str, Any] | None, computed: Mapping[str, Any]) -> list[str]:
    """Say what the score is made of, the largest contributions first; of several classes, for the one that was answered."""
    if explained is None or "score" not in explained:
        return []
    score, base, contributions = (explained[name] for name in ("score", "base", "contributions"))
    about = ""
    if isinstance(computed["prediction"], list):
        return [_reasons_text(item, contributions[item]) for item in computed["prediction"][:_SHOWN]]
    if isinstance(score, dict):
        answered = computed["prediction"]
        score, base, contributions = score[answered], base[answered], contributions[answered]
        about = f" of {answered}"
    largest = sorted(contributions.items(), key=lambda one: -abs(one[1]))
    rest = largest[_SHOWN:]
    width = max((len(name) for name, _ in largest[:_SHOWN]), default=0)
    said_rest = (
        f"    {sum(value for _, value in rest):+.4g} of {count(len(rest), 'further column')} (--json has all)"
    )
    return [
        f"  score     {score:.4g} ({explained['score_unit']}{about}, before calibration): {base:.4g} where no column is known, and",
        *(f"    {name:<{width}}  {value:+.4g}" for name, value in largest[:_SHOWN]),
        *([said_rest] if rest else []),
    ]


def _reasons_text(item: str, parts: Mapping[str, float]) -> str:
    """Say which items of the history put an item into a list."""
    said = ", ".join(f"{name} {part:+.4g}" for name, part in list(parts.items())[:3])
    return f"  {item}: {said or 'popular'}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
