"""Findings in words: a template a check, or a template for each of its forms. Nothing reads these sentences but people."""

import string
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from linewright.data.facts import MASK, Edit, Finding, Scalar, TruthForm
from linewright.text.numbers import count, listed, share_in_words
from linewright.text.quoting import quoted, quoted_sentence

Evidence = Mapping[str, Any]

_ASKED = "was it known before the label was?"
_AFTERWARDS = "likely filled in after the label was known"
_SCALE: Mapping[TruthForm, str] = {
    "two": "ROC AUC",
    "classes": "share of the label's entropy",
    "number": "share of the label's variance",
}
_NOUNS = {"integer": "whole number", "datetime": "time"}
_MOST_LEVELS, _MOST_NAMES = 5, 5
_OTHER_SPLIT = {
    "group": ", or choose split.by: random if rows of one group are independent",
    "time": ", or choose split.by: random if the order of time says nothing",
}
_PURE = "and {share:share} of them are {class!r} ({base:share} overall)"
_LEVEL = "where it is {level!r} ({rows:n} rows), the label is {class!r} in {share:share} of them ({base:share} overall)"
_TIME = (
    "a test part drawn at random then does not show how a model does on rows to come; if that is what it is for, write it as the "
    "time; if not, split: {{by: {by}}} (under train) says so"
)
_SENSOR = "in {rows:rows} of {count:groups} ({by!r} {groups:names}), first on {since}: a sensor that fails, and not what it measures"
_NARROWER = "a range in the contract that is too narrow for such values sets these rows aside (quarantine)"

TEMPLATES: Mapping[str, str] = {
    "unusable": "{because}",
    "constant": "every row with a label has the same value, {value!r}",
    "constant/empty": "it has no value in any row with a label",
    "near-constant": "only {differ:n} of {rows:n} rows have another value than {value:q}, which is too few to learn from",
    "id/running": "a running number from {low:n} to {high:n} in the order of the file",
    "id/dense": "a number of its own in every row, from {low:n} to {high:n} with hardly a gap",
    "id/named": "a number of its own in every row, and named as one",
    "id/numbering": "{values:n} whole numbers from {low} to {high} with hardly a gap in {rows:n} rows: they number things, and measure none",
    "id/own-text": "a text of its own in every row",
    "id/texts": "{values:n} different texts in {rows:n} rows: nearly one a row",
    "weight": "positive numbers (median {median:,.0f}) with the name of a sampling weight",
    "name/people": "by its name it names people: a model may learn who they are, and not what they are like; shall it?",
    "name/afterwards": "by its name ({word!r}) it may be known only afterwards: is it there when a prediction is asked for?",
    "few-groups": "only {groups:groups}: whole groups are drawn to see how sure a metric is, and fewer than 10 in the test part decide "
    "no gate; bring more groups, or leave the group out if its rows are independent",
    "doubtful-time": "is it a time? it holds plain numbers from {low} to {high}, which neither grow from row to row nor read as Unix seconds",
    "outlier": "{values:and} in {rows:rows}{place:place} lie far outside of all others ({low} to {high}); a contract's range sets such rows aside (quarantine)",
    "twin/equal": "it equals {of!r} in every row",
    "twin/one-to-one": "its {values:n} values go one to one with those of {of!r}",
    "twin/order": "it ranks the rows as {of!r} does (correlation of ranks {likeness:.4f})",
    "leak-perfect": "alone it predicts the label almost without error ({label:scale} of {strength:.3f})",
    "leak-perfect/function": "each of its {values:n} values goes with one label only in {rows:n} rows: it is the label in other words",
    "leak-perfect/order": "it ranks the rows as the label does: it is the label in other numbers",
    "leak-one-class/value": "it has a value in {rows:n} of {of:n} rows, " + _PURE + f": {_AFTERWARDS}",
    "leak-one-class/gap": "it has no value in {rows:n} of {of:n} rows, " + _PURE + f": {_AFTERWARDS}",
    "leak-one-class/level": f"{_LEVEL}: likely another name of the label",
    "leak-one-class/unusual": "it is not {level} in {rows:n} of {of:n} rows, " + _PURE + f": {_AFTERWARDS}",
    "leak-one-class/never": "it has a value in {share:share} of the rows with {other!r}, and in {filled:n} of the {rows:n} rows with "
    "{class!r}" + f": {_AFTERWARDS}",
    "leak-one-class/number": f"whether it has a value explains {{share:share}} of the label's variance: {_AFTERWARDS}",
    "leak-late-date/date": "later than {time!r} in {share:share} of rows, and it predicts the label ({label:scale} of {strength:.3f}): "
    "not known yet when the row happened",
    "leak-late-date/delay": "later than {time!r} in {share:share} of rows, and how much later predicts the label ({label:scale} of "
    "{strength:.3f}): not known yet when the row happened",
    "strong/label": "alone it reaches a {label:scale} of {strength:.3f}, the next column {next:.3f}: far above the others; "
    + _ASKED,
    "strong/class": "alone it tells {class!r} from all others (ROC AUC of {strength:.3f}), the next column {next:.3f}: far above the "
    "others; " + _ASKED,
    "leak-counted-days": "in {share:share} of the {rows:n} rows where it is not 0, it is the days from {start!r} to {end!r}, which is not "
    "known in time",
    "leak-family": "it stands beside {kin:names}, which are leaks, has their two values and is named as they are; {value!r} in {rows:n} "
    "rows (they: {low:n} to {high:n}), which is too few to clear it",
    "leak-parts": "{formula} is the label in {share:share} of rows: who knows all of it knows the label",
    "sorted": "the rows are sorted by the label, from {first!r} to {last!r}: the first rows are no sample, and a split by order would see "
    "other answers than it trains on",
    "sorted/time": "the rows are sorted by the label, from {first!r} to {last!r}, and by {time!r} too, so that a split by time tests on "
    "other answers than it trains on",
    "stray-classes": "{strays:names} in {rows:rows}{place:place}: probably typing errors; without them the label is binary, {classes:or}",
    "one-sided/error": "a run would stop: {what}; {hint}",
    "one-sided/empty": "as the rows are split now, the {part} part is empty, and a run would stop there: bring more rows, or change "
    "split.test or split.salt (under train){by:other}",
    "one-sided/class": "as the rows are split now, the {part} part holds {class!r} only ({rows:rows}), and a run would stop there: bring "
    "more rows, or change split.test or split.salt (under train){by:other}",
    "group/regular": "each of its {values:n} values stands in {each:n} rows, as a number of things does",
    "group/blocks": "each of its {values:n} values stands in one block, of {each:.1f} rows on average",
    "group/name": "{values:n} values in {rows:n} rows ({each:.1f} each on average), with the name of a thing",
    "group/pictures": "nothing says which pictures belong together: if several show one patient, part or batch, the line file has to say "
    "which, or pictures of one are in both parts and the score is too good",
    "group/now-and-then": "{values:n} values in {rows:n} rows, up to {each:n} rows each",
    "order": "the rows lie in its order, from {first} to {last} ({share:share} of them out of place){label:moved}: "
    + _TIME,
    "year-month": "together they say when a row happened, in {months:n} different months{label:moved}: "
    + _TIME,
    "sensor-fault/stuck": f"it stays at one number {_SENSOR}; no contract tells such rows from sound ones, so leave them out of the source if the model should not learn from them",
    "sensor-fault/missing": f"it is missing {_SENSOR}; `nullable: false` in the contract sets these rows aside (quarantine)",
    "sensor-fault/spike": f"it has spikes, such as {{value:.4g}} where {{usual:.4g}} is usual, {_SENSOR}; {_NARROWER}",
    "sensor-fault/unit": f"it is in another unit, about {{value:.4g}} instead of {{usual:.4g}}, {_SENSOR}; {_NARROWER}",
    # What `new` says of the file, and `check` of the line file.
    "events": "with {user!r} and {time!r} it tells who took what and when: to recommend items, run it again with --label {item} --task recommend",
    "renamed": "the header has {name!r} for an earlier column too, so this one is named anew, in sources",
    "doubtful-comma": '{value} may be {point} or {whole}, so the values are no numbers yet: say decimal: "," in the source, or '
    "replace({sql}, ',', '') in table.sql",
    "unused-missing": "{word!r} stands nowhere in source {source}{near:near}",
    "likely-missing": '{words:names} may mean "no value"',
    "margin": "gates[{gate}]: with margin {margin} each champion may be a little worse than the last, and many of them far worse; put a "
    "bar beside it that does not move, {{metric: …, at_least: …}}, or take the margin out again once the model that it is for serves",
    "fairness-rows": "gates[{gate}] cannot decide about {column}: its largest groups have about {groups:names} test rows, and two groups "
    "with {least:n} are needed (min_group); lower min_group, write when_small: block if that must stop a release, or name another column",
    "unused-setting": "train.{word}: it has no effect, since one estimator is fitted as it is; remove it from the line file",
    "old-model-file": "train.model: the line has been trained again since, so this file is no longer looked at; take it out of the line "
    "file, or make a line of its own for it",
    "free-alarm": "value: a false alarm (false_positive {alarm}) is worth no less than no alarm (true_negative {none}), so that an alarm for "
    "each row is best; write a minus before it if it costs",
    "view-known": "feature view {view!r} does not say when its rows were known, so each counts from its {time!r} on: if rows come later, or "
    "are changed, add known: COLUMN to features/{view}.yaml",
    "view-known/always": "feature view {view!r} has neither `time` nor `known`, so what its rows say now counts for all times: if they were "
    "written or changed after rows of the table, training knows what nobody knew then; add known: COLUMN to features/{view}.yaml",
    "view-absent": "{share:share} of the rows have an entity of which feature view {view!r} has no row: the table has {in_table!r}, the view "
    "{in_view!r}",
    "view-absent/some": "{rows:n} of {of:n} rows get nothing of feature view {view!r}: its source has no row about them by their time",
    "view-changed": "{model} serves, and goes on with the form of feature view {view!r} that it has learned; what the file says now counts "
    "once a newer model serves",
    "view-future/newest": "a column of feature view {view!r}, which does not say when its rows were known: without events of the day before a row "
    "it does not predict the label so well, so these may have been written afterwards; add known: COLUMN to features/{view}.yaml",
    "view-future/older": "a column of feature view {view!r}, which does not say when its rows were known, and older events predict the label as "
    "well: if they were changed afterwards, add known: COLUMN to features/{view}.yaml",
    "view-future/known/newest": "a column of feature view {view!r}: without events of the day before a row it does not predict the label so well; "
    "was each known from its {known!r} on?",
    "view-future/known/older": "a column of feature view {view!r}, and older events predict the label as well; was each known from its {known!r} on?",
    "currency": "value.currency is {value}, and costs.currency of factory.yaml {costs}: value and cost are not compared",
    "unknown-goal": "factory.yaml has no goal {goal!r}, but {goals:names}",
    "unknown-approver": "{setting}: no member who may approve on this line is {names:or}; linewright member list shows who there is",
    "few-approvers": "{setting}: {needed:n} have to approve, and {members:n} may on this line; linewright member add or member role adds one",
}
"""By the id of a check, or by ``id/form``. The names in braces are those of its evidence."""


_OF_NEW = frozenset({"renamed", "doubtful-comma", "events"})


_OF_VALUES = frozenset(
    {"first", "last", "spelled", "value", "values", "there", "level", "low", "high", "names", "usual"}
)
"""Figures that may be values of the columns that a finding is about; a single number under ``values`` counts them."""


def without_personal(finding: Finding, columns: Container[str]) -> Finding:
    """Return a finding without the values of personal columns."""
    if not any(name in columns for name in finding.columns):
        return finding
    figures = {name: _masked(name, one) for name, one in finding.evidence.items()}
    return replace(finding, evidence=figures)


def _masked(name: str, figure: Scalar | tuple[Scalar, ...]) -> Scalar | tuple[Scalar, ...]:
    if name not in _OF_VALUES or figure is None or (name == "values" and isinstance(figure, int)):
        return figure
    return (MASK,) * len(figure) if isinstance(figure, tuple) else MASK


class _Words(string.Formatter):
    """Write figures as people do."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def format_field(self, value: Any, format_spec: str) -> str:
        writer = _WRITERS.get(format_spec)
        if value == MASK:
            return MASK
        if writer is not None:
            return writer(value)
        return _moved(value, self.evidence) if format_spec == "moved" else format(value, format_spec)

    def say(self, template: str) -> str:
        """Return a template with the figures in it; what the evidence lacks is `None`."""
        return self.vformat(template, (), defaultdict(lambda: None, self.evidence))


def _moved(label: str | None, evidence: Evidence) -> str:
    if label is None:
        return ""
    if "class" not in evidence:
        return f"; the mean of {label!r} is {evidence['before']:.4g} in the first four fifths and {evidence['after']:.4g} in the last"
    before, after = (share_in_words(evidence[part]) for part in ("before", "after"))
    return f"; {label!r} is {evidence['class']!r} in {before} of the first four fifths and in {after} of the last"


def _levels(levels: Sequence[str | None]) -> str:
    shown = ["no value" if one is None else repr(one) for one in levels[:_MOST_LEVELS]]
    return " or ".join(shown) + (" or …" if len(levels) > len(shown) else "")


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "n": "{:,}".format,
    "share": share_in_words,
    "q": lambda value: "no value" if value is None else repr(value),
    "rows": lambda value: count(value, "row"),
    "groups": lambda value: count(value, "group"),
    "place": lambda value: f" ({value})" if value else "",
    "names": lambda value: listed([str(one) for one in value], _MOST_NAMES),
    "and": lambda value: " and ".join(map(str, value)),
    "or": _levels,
    "scale": lambda value: _SCALE[value],
    "other": lambda value: _OTHER_SPLIT.get(value, ""),
    "near": lambda value: f", which spells it {value!r}" if value else "",
}
"""How a figure is written, by what stands after the colon in a template."""


def evidence_in_words(check: str, evidence: Evidence) -> str:
    """Return what a check saw as a sentence, without a full stop.

    Examples
    --------
    >>> evidence_in_words("near-constant", {"differ": 3, "rows": 9000, "value": "mm"})
    "only 3 of 9,000 rows have another value than 'mm', which is too few to learn from"
    >>> evidence_in_words("leak-parts", {"formula": "a + b", "share": 1.0, "sample": 50_000, "of_rows": 90_000})
    'a + b is the label in 100 % of rows: who knows all of it knows the label (seen in a sample of 50,000 of 90,000 rows)'
    """
    if check in _SPOKEN:
        told = _SPOKEN[check](evidence)
    else:
        template = TEMPLATES.get(f"{check}/{_form(check, evidence)}") or TEMPLATES[check]
        told = _Words(evidence).say(template)
    if "sample" in evidence:
        told += f" (seen in a sample of {evidence['sample']:,} of {evidence['of_rows']:,} rows)"
    return told


def _form(check: str, evidence: Evidence) -> str:
    if check == "constant":
        return "" if "value" in evidence else "empty"
    if check == "sorted":
        return "time" if "time" in evidence else ""
    return str(evidence.get("form", ""))


def _sentinel(evidence: Evidence) -> str:
    spelled = ", ".join(f'"{text}"' for text in evidence["spelled"])
    todo = (
        f"add {spelled} to the source's 'missing'"
        if spelled
        else "write it as null: the file says it as a number"
    )
    if evidence["form"] == "twin":
        where = f"stands where {evidence['of']!r} has {evidence['there']}, which is far from its other values"
    else:
        how = "far from" if evidence["form"] == "far" else "below"
        share, rows = share_in_words(evidence["share"]), evidence["rows"]
        where = f"stands in {rows:,} rows ({share}), {how} all other values ({_bound(evidence['low'])} to {_bound(evidence['high'])})"
    return f"{evidence['value']} {where}: if it means missing, {todo}"


def _bound(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _bad_cells(evidence: Evidence) -> str:
    many, place = evidence["bad"], f" ({evidence['place']})" if evidence["place"] else ""
    kind = _NOUNS.get(evidence["type"], evidence["type"])
    first = f"{'but' if evidence['different'] == 1 else 'the first'} {evidence['first']!r}{place}"
    told = f"{many:,} of {evidence['of']:,} values {'is' if many == 1 else 'are'} no {kind}{'' if many == 1 else 's'}, {first}"
    if evidence["different"] == 1 and many > 1:
        told += "; if it means \"no value\", add it to the source's 'missing'"
    if "as_category" in evidence:
        return f"{told}: as a category, each value is only a name; the type {evidence['type']} sets such rows aside"
    return f"{told}; {'its row is' if many == 1 else 'their rows are'} set aside (quarantine)"


def _few_rows(evidence: Evidence) -> str:
    shown = [
        f"{name!r} has {count(rows, 'row')}"
        for name, rows in zip(evidence["classes"], evidence["of_each"], strict=True)
    ]
    more = ", …" if evidence["many"] > len(shown) else ""
    return (
        f"{', '.join(shown)}{more}: {evidence['folds']} folds and a test part of {evidence['test']:.0%} want at least "
        f"{evidence['least']} of each class; bring more, merge classes, or leave them out"
    )


_REPEATS = {
    "key": "they are equal in all but the key, so keep one of each",
    "copy": "keep one of each",
    "time": "drop the repeats; a split by time has rows of one {group} in both parts, as in real use",
    "group": "drop the repeats: rows of different {group} are alike",
    "other": "drop the repeats, or name in table.group what such rows belong to",
    "alike": "rows that are alike can be made a group, which goes one way",
}


def _repeats(evidence: Evidence) -> str:
    why = _REPEATS[evidence["form"]].format(group=evidence["group"])
    return (
        f"{evidence['rows']:,} test rows ({evidence['share']:.1%} of them) have the very features of a training row, and "
        f"{evidence['same_label']:.0%} of these its label too: a model that remembers looks better than it is; {why}"
    )


def _group(evidence: Evidence) -> str:
    said = _Words(evidence).say(TEMPLATES[f"group/{evidence['form']}"])
    if evidence["form"] == "pictures":
        return said
    same = f", and rows of one are alike in {', '.join(evidence['same'])}" if evidence["same"] else ""
    return f"{said}{same}: do its rows belong together? Then they must all be in one part, or the test asks about rows that the model has seen"


_SPOKEN: Mapping[str, Callable[[Evidence], str]] = {
    "sentinel": _sentinel,
    "bad-cells": _bad_cells,
    "few-rows": _few_rows,
    "repeats": _repeats,
    "group": _group,
}
"""Checks whose sentence no template makes."""


def check_ids() -> tuple[str, ...]:
    """Return the ids of the checks that a line file may disable, sorted."""
    return tuple(sorted({key.partition("/")[0] for key in (*TEMPLATES, *_SPOKEN)} - _OF_NEW))


def in_yaml(value: str | Sequence[str] | Mapping[str, Any]) -> str:
    """Write the value of an edit as YAML on one line.

    Examples
    --------
    >>> in_yaml({"type": "category", "allowed": ("no", "maybe not")})
    '{type: category, allowed: ["no", "maybe not"]}'
    """
    if isinstance(value, str):
        return quoted(value) if len(value) <= _LONGEST_NAME else quoted_sentence(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{quoted(key)}: {in_yaml(one)}' for key, one in value.items())}}}"
    return f"[{', '.join(map(quoted, value))}]"


_LONGEST_NAME = 200


def remedy_in_words(remedy: Iterable[Edit]) -> str:
    """Return what to write into the line file, each change with its place; empty where there is none."""
    told = [
        f"add {in_yaml(edit.value)} to {'.'.join(edit.path)}"
        if edit.is_item
        else f"{'.'.join(edit.path)}: {in_yaml(edit.value)}"
        for edit in remedy
    ]
    return " and ".join(told)


def finding_in_words(finding: Finding) -> str:
    """Return a finding in a sentence: whom it is about, the id of its check, what it saw and what mends it."""
    who = f"{', '.join(finding.columns)}: " if finding.columns else ""
    told = f"{who}{finding.check}: {evidence_in_words(finding.check, finding.evidence)}"
    if not (todo := remedy_in_words(finding.remedy)):
        return told
    # A question that is answered with yes may ask for the change, or with no.
    answer = "if not, " if finding.severity == "ask" and any(edit.is_item for edit in finding.remedy) else ""
    return f"{told}; {answer}{todo}"


def said_once(findings: Sequence[Finding]) -> list[str]:
    """Return findings in sentences; the columns that a model should not see are in one, for there may be hundreds."""
    leaks = [one for one in findings if one.severity == "exclude"]
    told = [finding_in_words(one) for one in findings if one.severity != "exclude"]
    if not leaks:
        return told
    first = leaks[0]
    others = listed([repr(one.columns[0]) for one in leaks[1:]], _MOST_NAMES)
    says = f"{first.columns[0]}: {first.check}: {evidence_in_words(first.check, first.evidence)}{f'; {others} too' if others else ''}"
    names = in_yaml([name for one in leaks for name in one.columns])
    return [
        f"{says}; add {names} to table.exclude, or to checks.known what was known before the label",
        *told,
    ]
