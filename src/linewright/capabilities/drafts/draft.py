"""The first text of a line file: what a look at the data suggests, each choice with its reason beside it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from linewright.capabilities.drafts.anomaly_draft import TASK, LabelledRows
from linewright.capabilities.drafts.imported_model import Brought
from linewright.data.checks.labels import Sorted
from linewright.data.checks.look import ColumnProfile, Profile
from linewright.data.checks.values import Id, NearConstant, Outlier
from linewright.data.facts import Edit, Finding
from linewright.data.finding_text import evidence_in_words, in_yaml
from linewright.data.profile.column import UNUSABLE, words_of
from linewright.data.profile.roles import is_time_name, names_people
from linewright.data.read.file.sniff import Commas
from linewright.data.spec import NUMBERS, FileSource, SourceSpec
from linewright.features.spec import ViewSpec
from linewright.model.spec import FEW_LABELS
from linewright.model.task_facts import task_of
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import share_in_words
from linewright.text.quoting import in_sql, quoted, quoted_sentence, widened

_MOST_LEVELS = 20
_LONGEST_LEVELS = 300
_MOST_NAMES = 5
_ROWS_TO_LOSE = 100
"""Rows from which on half of them is a promise that a small table does not break by itself."""
_SENSITIVE = frozenset({"sex", "gender", "race", "ethnicity", "religion", "nationality", "disability"})
_OF_ONE_ROW = 0.9
"""Share of the rows with different values from which on a value names its row."""
_ASKED_BY = {"group": ("group",), "time": ("order", "year-month")}
"""The checks that ask whether a column has the part, and then say why none has it."""
_OF_A_THING = frozenset(
    {"model", "made", "manufactured", "registration", "founded", "established", "opened", "grad", "remod"}
)
"""Words for the year of a thing, which is not that of the row."""
_BUILT = ("built", "blt", "renovated", "remodeled")
_HEAVY = 0.3
"""Share of the squared deviations from which on the largest hundredth of the labels dominates; of a normal label it has 0.07, of an exponential one 0.22."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a line file is written from."""

    name: str
    source: SourceSpec
    is_outside: bool
    """Whether the data lie outside the factory's folder."""
    missing: Mapping[str, int]
    """Spellings of "no value", with the number of columns that have each."""
    commas: Commas
    """Columns whose numbers have commas."""
    profile: Profile
    of: int
    """How many rows the data have; the profile may be of some of them."""
    excluded: Mapping[str, str]
    """Columns that no model sees, with the reason."""
    by: str
    by_because: str
    brought: Brought | None = None
    """A model that takes the place of training."""
    python: str | None = None
    """A function of the user's that makes the estimator."""
    engine: str = "built-in"
    """What chooses and fits the model."""
    event: str | None = None
    """If the label is a time: column that says whether it happened then."""
    has_sentences: bool = False
    """Whether the extra is installed by which an encoder of sentences reads texts."""
    of_rows: tuple[Finding, ...] = ()
    """What the checks of rows found."""
    views: tuple[ViewSpec, ...] = ()
    """Feature views that the table can be looked up in."""
    odd: LabelledRows | None = None
    """Where good rows alone are learned from: their label."""

    @property
    def task(self) -> str:
        """What kind of answer it gives."""
        return task_of(self.profile.label.form) if self.odd is None else TASK

    @property
    def entities(self) -> frozenset[str]:
        """Columns by which the views are looked up, and that are in no role: no model learns them."""
        return frozenset(name for view in self.views for name in view.entities) - {*self.profile.roles.parts}

    @property
    def has_meaning(self) -> bool:
        """Whether labels say something of the rows."""
        return self.odd is None or self.odd.is_labelled

    @property
    def by_user(self) -> bool:
        """Whether something else than the built-in engine chooses and fits the model."""
        return self.python is not None or self.engine != "built-in"

    @property
    def doubtful_commas(self) -> tuple[Finding, ...]:
        """Columns whose numbers could not be read, since their commas may separate thousands."""
        return tuple(
            Finding(
                check="doubtful-comma",
                severity="note",
                columns=(column,),
                evidence={
                    "value": value,
                    "point": value.replace(",", "."),
                    "whole": value.replace(",", ""),
                    "sql": in_sql(column),
                },
            )
            for column, value in ({} if self.commas.decimal else self.commas.doubtful).items()
        )


def write_draft(draft: Draft) -> str:
    """Return the text of the line file; `parse_line` reads it."""
    sections = (_head, _sources, _table, _views, _label, _contract, _train, _gates, _later)
    return "\n".join(line for section in sections for line in section(draft)) + "\n"


def _comment(text: str, *, indent: str = "") -> str:
    return f"{indent}# " + "".join(character if character.isprintable() else " " for character in text)


def _beside(lines: Sequence[tuple[str, str]], *, indent: str) -> Iterator[str]:
    """Write lines with their comments in one column, where the lines are not too long for that."""
    width = min(max((len(line) for line, comment in lines if comment), default=0), 70)
    for line, comment in lines:
        yield f"{indent}{line:<{width}}  {_comment(comment)}" if comment else f"{indent}{line}"


def _head(draft: Draft) -> Iterator[str]:
    profile = draft.profile
    yield _comment(
        f"Written by `linewright new` from a look at {looked_at(profile.rows, draft.of)} and {len(profile.columns)} columns. "
        "Each choice has its reason beside it; change what you know better."
    )
    if profile.rows < draft.of:
        yield _comment(
            "All rows are more than fits in memory, so types, ranges and missing values of the others are not known: "
            f"linewright check {draft.name}"
        )
    yield _comment(f"Next: linewright run {draft.name}")
    if not _features(draft):
        yield _comment("NOTE: no column is left that a model can learn from, so a run will say so and stop.")
    yield f"line: {quoted(draft.name)}"
    file = draft.source.describe().rsplit("/", 1)[-1]
    about = f"Predict {profile.label.column} from {file}" if draft.odd is None else f"Find odd rows of {file}"
    yield f"about: {quoted_sentence(about)}"


def looked_at(rows: int, of: int) -> str:
    """Say how many rows were looked at, and of how many.

    Examples
    --------
    >>> looked_at(1000, 1000), looked_at(1000, 9000)
    ('1,000 rows', '1,000 of 9,000 rows (runs of neighbours, from all over the data)')
    """
    return (
        f"{rows:,} rows"
        if rows == of
        else f"{rows:,} of {of:,} rows (runs of neighbours, from all over the data)"
    )


def _features(draft: Draft) -> list[ColumnProfile]:
    if draft.brought:
        return [c for c in draft.profile.columns if c.name in draft.brought.columns]
    outside = {*draft.profile.roles.parts, *draft.excluded, *draft.entities, draft.profile.label.column}
    return [c for c in draft.profile.columns if c.name not in outside and c.type != UNUSABLE]


def _sources(draft: Draft) -> Iterator[str]:
    words, reasons = (
        _of_files(draft.source, draft)
        if isinstance(draft.source, FileSource)
        else (_of_any(draft.source), [])
    )
    if draft.missing:
        seen = ", ".join(f'"{word}" in {_count(many, "column")}' for word, many in draft.missing.items())
        reasons.append(f'read as "no value": blanks, and {seen}')
    if draft.is_outside:
        reasons.append("outside the factory's folder, so a copy of the folder is not a copy of the data")
    yield "sources:"
    yield from _beside(
        [(f"{source_name(draft.name)}: {{{', '.join(words)}}}", "; ".join(reasons))], indent="  "
    )
    for one in draft.doubtful_commas:
        yield _comment(f"{one.columns[0]}: {evidence_in_words(one.check, one.evidence)}", indent="  ")


def sources_without_comment(source: SourceSpec, name: str) -> Iterator[str]:
    """Give the lines of the section of one source."""
    yield "sources:"
    yield f"  {name}: {{{', '.join(_of_any(source))}}}"


def _of_any(source: SourceSpec) -> list[str]:
    """Return the words of a source, each with what it says beyond its default."""
    said = source.model_dump(mode="json", exclude_defaults=True)
    return [f"{quoted(word)}: {json.dumps(value, ensure_ascii=False)}" for word, value in said.items()]


def _of_files(source: FileSource, draft: Draft) -> tuple[list[str], list[str]]:
    """Return the words of a source of files, and the reasons for them."""
    words, reasons = [f"file: {quoted_sentence(source.file)}"], list[str]()
    if source.at is not None:
        words.append(f"at: {source.at}")
    if source.separator != ",":
        words.append(f"separator: {json.dumps(source.separator)}")
    if source.encoding != "utf-8":
        words.append(f"encoding: {quoted(source.encoding)}")
    if source.decimal != ".":
        words.append(f"decimal: {json.dumps(source.decimal)}")
        too = [*draft.commas.doubtful]
        reasons.append(
            f"numbers have a decimal comma in {_some(draft.commas.decimal)}"
            + (f", so it is taken for one in {_some(too)} too" if too else "")
        )
    if source.names:
        words.append(f"names: [{', '.join(map(quoted, source.names))}]")
        reasons.append("the header has one name for several columns, so these are theirs, in order")
    if draft.missing:
        words.append(f"missing: [{', '.join(map(json.dumps, ['', *draft.missing]))}]")
    return words, reasons


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def source_name(line: str) -> str:
    """Return the name of a line's source: the line's, as SQL can say it without quotes.

    Examples
    --------
    >>> source_name("late-payers"), source_name("2024-claims")
    ('late_payers', 't_2024_claims')
    """
    name = line.replace("-", "_")
    return name if name[0].isalpha() else f"t_{name}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(draft: Draft) -> Iterator[str]:
    roles = draft.profile.roles
    parts: list[tuple[str, str]] = []
    for part, column, because in (
        ("key", roles.key, roles.key_because),
        ("time", roles.time, roles.time_because),
        ("group", roles.group, roles.group_because),
        ("weight", roles.weight, roles.weight_because),
    ):
        if column is not None:
            notes = [
                because,
                *(told for told in _told(draft.profile.column(column)) if told != because),
            ]
            parts.append((f"{part}: {quoted(column)}", "; ".join(notes)))
        elif because and not any(one.check in _ASKED_BY.get(part, ()) for one in draft.of_rows):
            parts.append((f"# no {part}: {because}", ""))
    yield "table:"
    yield from _beside(parts, indent="  ")
    if roles.time is None and (suggestion := _time_suggestion(draft)):
        yield _comment(suggestion, indent="  ")
    if draft.excluded:
        yield "  exclude:  # these stay in the table, and no model sees them"
        excluded = [(f"- {quoted(name)}", because) for name, because in draft.excluded.items()]
        yield from _beside(excluded, indent="    ")
    yield from _suggested(draft)


def _views(draft: Draft) -> Iterator[str]:
    if not draft.views:
        return
    names = ", ".join(quoted(view.view) for view in draft.views)
    by = " and ".join(dict.fromkeys(quoted(name) for view in draft.views for name in view.entities))
    yield f"features: [{names}]  " + _comment(
        f"the table has {by}, by which each row gets what was known at its time; no model learns {by} itself"
    )


def _told(column: ColumnProfile) -> list[str]:
    return [evidence_in_words(one.check, one.evidence) for one in column.findings]


def _suggested(draft: Draft) -> Iterator[str]:
    """Give the edits that mend what misleads, as comments: a person decides."""
    kept = [column.name for column in _features(draft) if column.has(NearConstant.id)]
    if kept:
        names = [*draft.excluded, *kept] if len(draft.excluded) + len(kept) <= _MOST_LEVELS else kept
        line = f"exclude: [{', '.join(map(quoted, names))}]"
        yield _comment(
            f"{line}  # too few of their rows differ to learn from {' and '.join(kept)}", indent="  "
        )
    for one in draft.of_rows:
        if one.check == Sorted.id:  # the split says so
            continue
        lines = [_written(edit) for edit in one.remedy]
        # Each on a line of its own, so that taking the marks away is all there is to do.
        yield from (_comment(line, indent="  ") for line in lines[:-1])
        lead = f"{lines[-1]}  # " if lines else ""
        yield _comment(f"{lead}{one.check}: {evidence_in_words(one.check, one.evidence)}", indent="  ")


def _written(edit: Edit) -> str:
    section = ".".join(edit.path[:-1])
    under = "" if section == "table" else f"under {section}: "
    return f"{under}{quoted(edit.path[-1])}: {in_yaml(edit.value)}"


def _time_suggestion(draft: Draft) -> str:
    """Say which column by its name may be the time, where no other does."""
    outside = {draft.profile.label.column, *draft.profile.roles.parts, *draft.excluded}
    counting = [
        column for column in draft.profile.columns if column.name not in outside and _counts_time(column)
    ]
    if not counting or draft.profile.may_be_time:
        return ""
    # `min` keeps the first of equals; what is called year and no more is the row's own.
    best = min(counting, key=lambda column: len(words_of(column.name)))
    return (
        f"time: {quoted(best.name)}  # by its name, and its values from {best.low} to {best.high}, it may say when a row happened: "
        "if so, write it, and the latest rows test the model"
    )


def _counts_time(column: ColumnProfile) -> bool:
    """Return whether a column has the name and the values of the year, or of the month of a year, in which a row happened."""
    words = words_of(column.name)
    if (
        column.type != "integer"
        or column.distinct <= 2
        or column.low is None
        or not is_time_name(column.name)
    ):
        return False
    if _OF_A_THING & {*words} or any(word.endswith(_BUILT) for word in words):
        return False
    low, high = int(column.low), int(column.high or 0)
    if 1900 <= low <= high <= 2100:
        return True
    # 201507 is a month.
    return 190_001 <= low <= high <= 210_012 and all(1 <= end % 100 <= 12 for end in (low, high))


def _label(draft: Draft) -> Iterator[str]:
    label = draft.profile.label
    if draft.odd is not None:
        yield f"{draft.odd.label}  {_comment(draft.odd.because)}"
        return
    words = [f"column: {quoted(label.column)}"]
    reasons: list[str] = []
    if draft.event is not None:
        words.append(f"event: {quoted(draft.event)}")
        reasons.append(f"{quoted(draft.event)} is true (or 1) if it happened; the two become one label")
    if label.positive is not None:
        words.append(f"positive: {quoted_sentence(label.positive)}")
        reasons.append(f"positive: {label.positive_because}")
    if label.missing:
        reasons.append(f"{_count(label.missing, 'row')} without a label neither train nor test")
    reasons += _told(draft.profile.column(label.column))
    yield from _beside([(f"label: {{{', '.join(words)}}}", "; ".join(reasons))], indent="")
    time = draft.profile.roles.time
    if time is not None and draft.profile.column(time).type in {"date", "datetime"}:
        said = f"label: {{{', '.join([*words, 'delay: 7d'])}}}"
        yield _comment(
            f"{said}  # if the truth is known only so long after {quoted(time)}: what comes early misleads"
        )


def _contract(draft: Draft) -> Iterator[str]:
    profile = draft.profile
    rules = [
        (f"{quoted(column.name)}: {{{_rule(column, draft)}}}", _about(column, draft))
        for column in profile.columns
        if column.name not in draft.excluded
        and column.name not in draft.entities
        and column.type != UNUSABLE
        and (draft.event is None or column.name != profile.label.column)
    ]
    yield "contract:"
    yield from _fewest(draft)
    yield _comment(
        "Ranges are as seen, widened by half on either side; a row outside is set aside", indent="  "
    )
    yield _comment(
        "(quarantine). A value that a category never had is let through with a warning, and so is a missing value",
        indent="  ",
    )
    yield _comment(
        "with `nullable: warn`: none was missing here, which says little about other rows.", indent="  "
    )
    yield "  columns:"
    yield from _beside(rules, indent="    ")
    for column in profile.columns:
        if column.type == UNUSABLE:
            yield f"    # {quoted(column.name)} is left out: {_told(column)[0]}"


def _fewest(draft: Draft) -> Iterator[str]:
    """Give the number of rows below which a file was broken off; what is proposed to be left out does not count."""
    rows = round(draft.of * (1 - draft.profile.repeated / draft.profile.rows))
    if rows < _ROWS_TO_LOSE:
        return
    least = rows // 2
    unit = 10 ** (len(str(least)) - 2)
    of = f"{rows:,} rows" + (" seen" if rows == draft.of else " without repeats")
    yield f"  rows: {{min: {least // unit * unit}}}  # half of the {of}, so that a file that is broken off stops a run"


def _rule(column: ColumnProfile, draft: Draft) -> str:
    label = draft.profile.label
    is_label = column.name == label.column
    is_class = is_label and label.form not in {"number", "time"}
    kind = "category" if is_class else column.type
    words = [f"type: {kind}"]
    if column.format and not is_class:
        words.append(f"format: {quoted_sentence(column.format)}")
    if not column.missing and not is_label:
        # Rows that nobody has seen yet may lack a value: the built-in engine answers them, whether another model does is not known.
        is_needed = column.name in draft.profile.roles.parts or draft.brought or draft.by_user
        words.append(f"nullable: {'false' if is_needed else 'warn'}")
    if column.name == draft.profile.roles.key:
        words.append("unique: true")
    if is_class:
        words.append(f"allowed: [{', '.join(quoted_sentence(name) for name, _ in sorted(label.classes))}]")
    elif column.name not in draft.profile.roles.parts and not is_label:
        words += _limits(column, draft)
    return ", ".join(words)


def _limits(column: ColumnProfile, draft: Draft) -> list[str]:
    if column.type in NUMBERS and column.low is not None and column.high is not None and column.distinct > 1:
        low, high = widened(
            column.low, column.high, whole=column.type == "integer", exact=column.distinct == 2
        )
        if not low or not high:
            return []
        # The next year, or the days to come, are no breach.
        may_grow = column.name in draft.profile.may_be_time or _is_year(column)
        is_open = may_grow and not column.has(Outlier.id)
        return [f"min: {low}"] if is_open else [f"min: {low}", f"max: {high}"]
    levels = ", ".join(quoted_sentence(level) for level, _ in column.levels)
    if (
        column.type == "category"
        and 0 < len(column.levels) <= _MOST_LEVELS
        and len(levels) <= _LONGEST_LEVELS
        and not _may_be_somebodys(column, draft)
    ):
        return [f"allowed: [{levels}]", "on_breach: warn"]
    return []


def _is_year(column: ColumnProfile) -> bool:
    """Return whether the column holds years, of which the next one is no breach."""
    if column.type != "integer" or column.low is None or not {"year", "yr"} & set(words_of(column.name)):
        return False
    return 1800 <= int(column.low) <= int(column.high or 0) <= 2200


def _about(column: ColumnProfile, draft: Draft) -> str:
    seen: list[str] = []
    is_hidden = _may_be_somebodys(column, draft)
    if is_hidden:
        seen.append(_count(column.distinct, "value"))
    if column.low is not None and not is_hidden:
        seen.append(f"{column.low} to {column.high}")
    if column.levels and not is_hidden:
        total = sum(rows for _, rows in column.levels)
        level, rows = column.levels[0]
        seen.append(
            f"{_count(len(column.levels), 'value')}, most often {level[:40]!r} ({share_in_words(rows / total)})"
        )
    elif column.type == "category" and column.distinct and not is_hidden:
        seen.append(f"{column.distinct:,} values such as {column.examples[0][:40]!r}")
    if column.missing:
        seen.append(f"{column.missing:,} missing")
    found = [one for one in column.findings if one.check != Id.id]
    seen += [f"{one.check}: {evidence_in_words(one.check, one.evidence)}" for one in found]
    return "; ".join(seen)


def _may_be_somebodys(column: ColumnProfile, draft: Draft) -> bool:
    """Return whether one value of a column may tell who a row is about: it stays in the file, and in its versions, after `forget`."""
    if column.name == draft.profile.label.column or column.type not in {*NUMBERS, "category"}:
        return False
    if column.name == draft.profile.roles.key or names_people(column.name):
        return True
    return column.type == "category" and column.distinct > _OF_ONE_ROW * (draft.profile.rows - column.missing)


def _train(draft: Draft) -> Iterator[str]:
    label = draft.profile.label
    rules = rules_of(task_of(label.form))
    yield "train:"
    if draft.odd is not None:
        yield from _beside(
            [
                (f"task: {TASK}", "good rows alone are learned from: how odd a row is, compared with them"),
                _split(draft),
            ],
            indent="  ",
        )
        return
    lines = [
        (f"task: {rules.name}", f"{quoted(label.column)} has {label.because}"),
        (f"metric: {rules.metrics[0]}", rules.headline_because),
        (
            "budget: normal",
            "quick and thorough are the others; the same rows, split alike, and the same budget give the same model",
        ),
        _split(draft),
    ]
    if draft.python is not None:
        lines[2] = (
            f"python: {quoted_sentence(draft.python)}",
            "your own estimator; take the line out, and the built-in engine trains",
        )
    elif draft.engine != "built-in":
        why = "what chooses and fits the model; take the line out, and the built-in engine does"
        lines.insert(2, (f"engine: {draft.engine}", why))
    texts = _texts_of_few_labels(draft)
    if texts and draft.has_sentences:
        why = f"labels are few, so an encoder of sentences reads {texts} too, if folds say that it is better"
        lines.insert(-1, ("sentences: auto", why))
    yield from _beside(lines, indent="  ")
    if texts and not draft.has_sentences:
        yield _comment(
            f"sentences: auto  # with pip install 'linewright[texts]': labels are few, and an encoder of sentences may read {texts} better",
            indent="  ",
        )
    if draft.brought:
        yield from _model(draft.brought)
    if label.largest is not None and label.largest >= _HEAVY:
        yield _comment(
            f"metric: mae  # counts all errors alike: the largest hundredth of {label.column} has {share_in_words(label.largest)} of its squared "
            "deviations from the mean, so a few large labels decide the rmse",
            indent="  ",
        )
    if label.form == "classes" and draft.profile.column(label.column).type in NUMBERS:
        yield _comment(
            "The classes are numbers; if their order matters more than the exact class, task: regression with metric: rmse",
            indent="  ",
        )


def _texts_of_few_labels(draft: Draft) -> str:
    """Name the texts that an encoder of sentences could read; empty if labels are many, or something else makes the model."""
    if draft.by_user or draft.brought or draft.event or draft.of - draft.profile.label.missing > FEW_LABELS:
        return ""
    texts = [
        each.name for each in draft.profile.columns if each.type == "text" and each.name not in draft.excluded
    ]
    return " and ".join(map(quoted, [name for name in texts if name != draft.profile.label.column]))


def _split(draft: Draft) -> tuple[str, str]:
    names = draft.profile.may_be_time
    what = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
    if not names:
        return f"split: {{by: {draft.by}, test: 0.2}}", draft.by_because
    asked = (
        f"no `by` yet: if {what} a time, it shall be the time of the table; if not, by: {draft.by} says so"
    )
    return "split: {test: 0.2}", f"{draft.by_because}; {asked}"


def _model(brought: Brought) -> Iterator[str]:
    words = [f"file: {quoted_sentence(brought.file)}"]
    yield _comment(
        "This model takes the place of training. Take the line `model` out and run again: a model that is trained here "
        "then",
        indent="  ",
    )
    yield _comment("has to beat it, on test rows.", indent="  ")
    yield _comment(
        "Which rows it has learned from is not known: the data should be rows that it has not seen, or it looks better "
        "than it is.",
        indent="  ",
    )
    yield _comment(f"Columns: {brought.columns_because}.", indent="  ")
    if brought.columns_said:
        words.append(f"columns: [{', '.join(map(quoted_sentence, brought.columns))}]")
    if brought.columns_guessed:
        yield _comment("Check that the model was made with this order: it does not say.", indent="  ")
    if brought.classes:
        words.append(f"classes: [{', '.join(map(quoted_sentence, brought.classes))}]")
        yield _comment(f"Classes: {brought.classes_because}.", indent="  ")
    made_by = brought.made_by
    if brought.is_outside:
        made_by += "; outside the factory's folder, so a copy of the folder is not a copy of the model"
    yield f"  model: {{{', '.join(words)}}}  {_comment(made_by)}"


def _gates(draft: Draft) -> Iterator[str]:
    label = draft.profile.label
    if draft.odd is not None:
        yield from _gates_of_odd(draft.odd)
        return
    yield "gates:"
    yield from _beside(
        [
            (
                "- {beats: champion, confidence: 0.95}",
                "better than what serves, on rows that neither has seen; at first, than the baseline",
            )
        ],
        indent="  ",
    )
    yield _comment(
        "With margin: -0.01 (on the metric's own scale) also what is surely not worse by more: a simpler model, say.",
        indent="  ",
    )
    if label.form == "two":
        base = dict(label.classes)[label.positive or ""] / sum(rows for _, rows in label.classes)
        yield _comment(
            f"- {{metric: average_precision, at_least: {min(2 * base, (1 + base) / 2):.2f}}}  # a bar of your own; by chance it is {base:.2f}",
            indent="  ",
        )
        for column in _features(draft):
            if _SENSITIVE & set(words_of(column.name)):
                words = f"- {{fairness: {quoted(column.name)}, at_most: 0.2}}  # treat its groups alike"
                yield _comment(words, indent="  ")
    if label.form == "number":
        yield _comment(
            "- {metric: r2, at_least: 0.5}  # a bar of your own: the share of the variance that is explained",
            indent="  ",
        )


def _gates_of_odd(odd: LabelledRows) -> Iterator[str]:
    yield "gates:"
    because = (
        "better than what serves, on rows that neither has seen; at first, than the baseline"
        if odd.is_labelled
        else "nothing can be compared while no row is known to be faulty: then a person approves the model"
    )
    yield f"  - {{beats: champion, confidence: 0.95}}  {_comment(because)}"
    yield _comment(
        "- {metric: false_positive_rate, at_most: 0.05}  # share of good rows that alarm; it needs no faulty row",
        indent="  ",
    )
    yield _comment("anomaly: {alarms: 0.01}  # share of good rows that may alarm: sets the threshold")


def _later(draft: Draft) -> Iterator[str]:
    yield _comment("release: {approve: [owner]}  # then `run` holds, and `linewright promote` serves")
    if draft.profile.label.form == "two":
        yield _comment(
            "value: {currency: EUR, true_positive: 100, false_positive: -10, false_negative: -100}  # sets the threshold"
        )
    yield _comment(
        "watch: {every: 1h}  # under `up`, each hour's rows and answers are compared with those of the test part, and answers with their labels"
    )
    what = "a model of its own, which has to beat the one that was brought," if draft.brought else "again,"
    caveat = (
        ""
        if draft.profile.roles.time
        else "; without a time, old rows weigh as much as new ones, so it follows a change late"
    )
    yield _comment(
        f"retrain: {{when: [drift, performance], cooldown: 1d}}  # then it trains {what} with labels that came through feedback{caveat}"
    )
