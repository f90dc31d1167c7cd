"""The line file: what it says is read, what it may not say is answered with its place and a way out."""

import json
import pickle  # noqa: TID251 -- errors must survive the way from a worker
import re
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from linewright.errors import NotFound, SpecError
from linewright.line.file import yaml_nodes
from linewright.line.file.factory_file import FactoryFile, read_factory_file, write_factory_file
from linewright.line.file.read import parse_line, read_line, schema, unsupported
from linewright.line.file.sites import sites_in
from linewright.line.file.validate import FORMS
from linewright.line.spec import LineSpec
from linewright.model.spec import BeatsGate, FairnessGate, MetricGate

HERE = Path(__file__).parent
BAD = HERE / "bad_lines"
HEAD = "line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\n"

# file: (line, column, a part of the message)
EXPECTED = {
    "a-list": (1, 1, "the file does not hold a line"),
    "alert-budget": (4, 23, "how many per how long (h, d or w), such as 1 per 90d"),
    "alias": (4, 8, "an anchor (&t) is not allowed in a line file"),
    "api-key": (4, 1, "a line file holds no secrets"),
    "all-referred": (2, 1, "columns refer to every source"),
    "approve": (4, 20, "'release.approve' must be a list: found 'boss'"),
    "bake-of-none": (4, 11, "rollout: canary, shadow or blue-green beside it"),
    "bound-of-text": (6, 30, "a column of type category does not have this min: found 3"),
    "budget": (4, 17, "did you mean 'quick'?"),
    "canary": (4, 11, "write its shares of the traffic below it, e.g. steps: [0.05, 0.25, 1.0]"),
    "check-twice": (7, 8, "two checks have this name: found 'paid'"),
    "column-type": (6, 17, "found 'int', allowed: integer, number, boolean, category"),
    "currency": (4, 19, "three capital letters, such as EUR"),
    "deep": (4, 30, "nesting more than 20 deep"),
    "delay": (4, 27, "a number and a unit (us, ms, s, m, h, d or w), such as 45d"),
    "delay-without-time": (3, 20, "a delay counts from the time of the row"),
    "empty": (1, 1, "found 'nothing', allowed: a mapping with at least 'line', 'sources' and 'label'"),
    "empty-when": (4, 1, "nothing would ever start a training"),
    "fresh": (
        5,
        19,
        "a number and a unit (us, ms, s, m, h, d or w), such as 45d, or a mapping with 'within'",
    ),
    "fresh-without-time": (4, 12, "add table.time"),
    "impossible-performance": (5, 23, "the line's metric lies between 0 and 1: found 7"),
    "key-is-time": (4, 18, "table.time is the same column as table.key"),
    "label-excluded": (4, 22, "the label is excluded: found 'y'"),
    "impossible-margin": (6, 40, "roc_auc is between 0 and 1, so no model can be better by so much: found 5"),
    "metric-of-another-task": (6, 6, "'roc_auc' is for binary tasks"),
    "min-above-max": (6, 35, "max is less than min: found 16, allowed: at least 60"),
    "misplaced-word": (4, 1, "'split' belongs in 'train'"),
    "misspelt-in-gate": (5, 6, "unknown word in 'gates[0]': found 'metrc'"),
    "misspelt-section": (4, 1, "did you mean 'train'?"),
    "nameless-gate": (5, 5, "one with 'metric', 'beats' or 'fairness'"),
    "no-window": (4, 9, "a duration of nothing: found '0s'"),
    "unwatched-drift": (4, 18, "nothing is found where nothing is watched: found 'drift'"),
    "no-gates": (
        4,
        1,
        "'gates' must be a list: found 'nothing', allowed: a list. Next: write gates: [] for none",
    ),
    "no-label": (1, 1, "'label' is missing in the line file"),
    "no-source": (2, 10, "'sources' is empty"),
    "not-utf-8": (2, 11, "the file is not UTF-8"),
    "null-positive": (4, 8, "'owner' must be a single value: found 'a mapping'"),
    "other-name": (1, 1, "found 'another', allowed: other-name"),
    "password": (2, 23, "allowed: env:NAME or file:PATH"),
    "pattern": (6, 28, "look-around, including look-ahead and look-behind, is not supported"),
    "pattern-of-date": (6, 23, "a column of type date has no pattern"),
    "quoted-number": (4, 16, "write 5 without quotes"),
    "references": (7, 28, "did you mean 'shops.id'?"),
    "several": (4, 1, "(the first of 3 mistakes)"),
    "shadow-bake": (4, 28, "the trial lasts no time: found '0s', allowed: a duration above 0, e.g. 10m"),
    "shadow-steps": (4, 28, "only a canary goes in steps"),
    "share": (4, 23, "found 20, allowed: a number above 0 and below 1"),
    "source-of-nothing": (
        2,
        14,
        "one with 'file', 'files', 'sqlite', 'sql', 'push', 'rest', 'delta' or 'dlt'",
    ),
    "split-without-time": (4, 17, "add table.time, or let 'auto' choose"),
    "steps": (4, 41, "the steps do not ascend: found 0.25, allowed: a share above 0.5"),
    "steps-end": (4, 41, "the last step does not reach all traffic"),
    "steps-of-none": (4, 11, "only a canary goes in steps"),
    "tabs": (5, 1, "indent with blanks, not with tabs"),
    "tag": (4, 8, "is not allowed in a line file"),
    "trials": (4, 26, "found 'many', allowed: a whole number of at least 1 and of at most 1000"),
    "trigger": (4, 18, "did you mean 'drift'?"),
    "true": (4, 17, "'train.budget' cannot have this value: found true, allowed: quick"),
    "twice": (5, 1, "the key 'train' stands twice (first on line 4)"),
    "two-bars": (5, 5, "a metric gate has either at_least or at_most"),
    "two-documents": (4, 1, "a second document is not allowed"),
    "two-sources-no-sql": (2, 1, "add table.sql"),
    "unclosed": (4, 1, "not readable as YAML"),
    "unit": (5, 47, "did you mean 'customer'?"),
    "unknown-metric": (4, 9, "did you mean 'roc_auc'?"),
    "value": (4, 1, "finding a positive is worth no more than missing it"),
    "wrong-bar": (5, 24, "write at_most: 0.3"),
    "yes": (6, 36, "found 'yes', allowed: true or false, or warn. Next: write true"),
    "zone": (4, 18, "did you mean 'Europe/Berlin'?"),
}


def line(text: str = "") -> LineSpec:
    return parse_line(HEAD + text, name="lines/a.yaml")


def mistake(text: str) -> SpecError:
    with pytest.raises(SpecError, match="lines/a") as caught:
        parse_line(text, name="lines/a.yaml")
    return caught.value


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param("", "1:1", id="nothing"),
        pytest.param("\ufeff", "1:1", id="a byte order mark alone"),
        pytest.param("---\n", "1:1", id="an empty document"),
        pytest.param(HEAD + "about: \0\n", "4:8", id="a zero byte"),
        pytest.param(HEAD + "about: a\x85b\x07\n", "4", id="a bell"),
        pytest.param(HEAD + "\tabout: b\n", "4:1", id="a tab before a key"),
        pytest.param(HEAD + "train:\n \tbudget: quick\n", "5", id="a tab after a blank"),
        pytest.param(HEAD + "owner: &o a\nabout: *o\n", "4:8", id="an anchor and its alias"),
        pytest.param(HEAD + "about: *nobody\n", "4:8", id="an alias of nothing"),
        pytest.param(HEAD + "<<: {about: b}\n", "4:1", id="a merge"),
        pytest.param(HEAD + "about: !!python/object/apply:os.system ['true']\n", "4:8", id="a tag of Python"),
        pytest.param("%TAG ! tag:evil,2000:\n---\n" + HEAD + "about: !x b\n", "6:8", id="a tag of its own"),
        pytest.param("%YAML 9.9\n---\n" + HEAD, "1:1", id="a YAML of tomorrow"),
        pytest.param(HEAD + "label: {column: z}\n", "4:1", id="a key twice"),
        pytest.param(
            HEAD + "train: {budget: quick, 'budget': normal}\n", "4:24", id="a key twice, quoted once"
        ),
        pytest.param(HEAD + "? [a, b]\n: 1\n", "4:3", id="a list as a key"),
        pytest.param(HEAD + "? |\n  about\n: 1\n", "4:3", id="a block as a key"),
        pytest.param(HEAD + "about: " + "[" * 100_000, "4", id="brackets without end"),
        pytest.param(HEAD + "about: " + "[" * 5000 + "]" * 5000 + "\n", "4", id="lists in lists"),
        pytest.param(HEAD + "about: " + "{a: " * 5000 + "}" * 5000 + "\n", "4", id="mappings in mappings"),
        pytest.param(HEAD + "".join(" " * i + "a:\n" for i in range(1000)), "24:21", id="steps without end"),
        pytest.param(HEAD + "tran: " + "x" * 1_000_000 + "\n", "4:1", id="a text of a megabyte"),
        pytest.param(HEAD + "tran: '" + "x" * 1_000_000 + "\n", "4", id="a quote of a megabyte"),
        pytest.param(HEAD + "x" * 500_000 + ": 1\n", "4", id="a key of half a megabyte"),
        pytest.param(HEAD + "about: a" + "\n" * 500_000 + "tran: 1\n", "500004:1", id="half a million lines"),
        pytest.param(HEAD + "train: {folds: 1e999}\n", "4:16", id="1e999"),
        pytest.param(HEAD + "train: {folds: .nan}\n", "4:16", id="not a number"),
        pytest.param(HEAD + "train: {folds: " + "9" * 5000 + "}\n", "4:16", id="five thousand digits"),
        pytest.param(
            HEAD + "train: {folds: 0x" + "f" * 300 + "}\n", "4:16", id="three hundred digits of sixteen"
        ),
        pytest.param(HEAD + "train: {split: {test: -.inf}}\n", "4:23", id="less than any number"),
        pytest.param(HEAD + 'about: "\\ud800"\ntran: 1\n', "5:1", id="half of a character"),
        pytest.param(HEAD + "\r\rtran: 1\r", "6:1", id="line ends of old machines"),
        pytest.param(HEAD.replace("line: a", "line: ../a"), "1:7", id="a name out of the folder"),
        pytest.param(HEAD.replace("line: a", "line: " + "a" * 64), "1:7", id="a name of 64 letters"),
        pytest.param(HEAD.replace("line: a", "line: A"), "1:7", id="a name in capitals"),
    ],
)
def test_what_nobody_would_write_is_answered_with_its_place_too(text, where):
    """A file may be cut off, come from a machine, or from somebody who means harm; the answer comes at once."""
    begun = time.monotonic()

    error = mistake(text)

    assert f"{error.where}:".startswith(f"lines/a.yaml:{where}:")
    assert 10 > time.monotonic() - begun


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("label: {column: y\n", "a bracket or a quote is not closed, or a comma is missing"),
        ("label: 'y\n", "a quote is not closed"),
        ("label: column: y\n", "a colon stands where no key can be"),
        ("label:\n  column: y\n positive: x\n", "this does not belong to what stands above it"),
        ("label:\n\tcolumn: y\n", "a tab stands where blanks must"),
        ("label: @y\n", "a text cannot begin with '@'"),
        ("about: \x01\n", "a control character stands in the file"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_words_of_the_reader(text, what):
    """Nobody who forgot a quote knows what a block mapping start is."""
    error = mistake(f"line: a\nsources: {{a: {{file: a.csv}}}}\n{text}")

    assert f"not readable as YAML: {what}" == error.what


def test_the_whole_grammar_is_read():
    """The example of the documentation uses every section; it must mean what it says."""
    spec = read_line(HERE / "claims.yaml")

    assert "Yes" == spec.label.positive
    assert ["metric", "beats", "fairness"] == [next(iter(gate.model_dump())) for gate in spec.gates]
    assert (MetricGate, BeatsGate, FairnessGate) == tuple(type(gate) for gate in spec.gates)
    assert (0.05, 0.25, 1.0) == spec.release.steps
    assert spec.retrain is not None
    assert ["drift", "performance", {"labels": 2000}, {"every": "7d"}] == [
        when if isinstance(when, str) else when.model_dump() for when in spec.retrain.when
    ]
    assert spec.value is not None
    assert -900.0 == spec.value.false_negative


def test_what_the_file_leaves_out_is_the_default():
    """Three words make a line; everything else is considered for the user."""
    assert (
        LineSpec.model_validate({"line": "a", "sources": {"a": {"file": "a.csv"}}, "label": {"column": "y"}})
        == line()
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_bad_file_is_answered_with_the_place_and_a_way_out(name: str):
    """A person who mistyped must find the letter, not read a stack trace."""
    row, column, part = EXPECTED[name]
    path = BAD / f"{name}.yaml"

    with pytest.raises(SpecError) as caught:
        read_line(path)

    assert f"{path}:{row}:{column}" == caught.value.where
    assert part in str(caught.value)


def test_every_bad_file_is_expected_and_every_expectation_has_its_file():
    """A corpus that nothing reads protects nothing."""
    assert sorted(EXPECTED) == sorted(path.stem for path in BAD.glob("*.yaml"))


@pytest.mark.parametrize("section", ["table", "contract", "train"])
def test_a_section_whose_lines_are_all_comments_is_the_default(section: str):
    """Whoever comments out the last line of a section must not have to remove its name too."""
    spec = parse_line(f"{HEAD}{section}:\n  # by: hand\n", name="a.yaml")

    assert parse_line(HEAD, name="a.yaml") == spec


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    """Nobody wants to learn of the third mistake after the second was mended."""
    error = mistake(HEAD + "tran: {task: binary}\ngates: [{beats: champ}]\nvalue: {currency: euro}\n")

    places = [(part["path"], part["line"], part["hint"]) for part in error.details["errors"]]
    assert [
        ("tran", 4, "did you mean 'train'?"),
        ("gates[0].beats", 5, "did you mean 'champion'?"),
        ("value.currency", 6, ""),
    ] == places
    assert error.details["errors"][1]["message"].startswith("lines/a.yaml:5:17: 'gates[0].beats'")


def test_an_error_survives_json_and_pickle():
    """Errors travel from workers and into `--json`; their parts must arrive."""
    error = mistake(HEAD + "tran: {}\ntrain: {folds: 2.5, split: {by: date}}\n")

    assert error.to_parts() == pickle.loads(pickle.dumps(error)).to_parts()  # noqa: S301
    assert 3 == len(json.loads(json.dumps(error.to_json()))["details"]["errors"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Yes", "Yes"),
        ("1", "1"),
        ("true", "true"),
        ("1.0", "1.0"),
        ("'no'", "no"),
        ("012", "012"),
        ("2024-05-01", "2024-05-01"),
    ],
)
def test_a_text_is_taken_as_it_is_spelled(written: str, meant: str):
    """`positive: 1` must find the class "1", and `Yes` is no boolean in YAML 1.2."""
    text = f"line: a\nsources: {{a: {{file: a.csv}}}}\nlabel: {{column: y, positive: {written}}}\n"

    assert meant == parse_line(text, name="a.yaml").label.positive


def test_spellings_in_lists_are_texts_too():
    """Codes such as 1 and 2 are values of a category."""
    spec = line("contract:\n  columns:\n    sex: {type: category, allowed: [1, 2, no]}\n")

    assert ("1", "2", "no") == spec.contract.columns["sex"].allowed


def test_a_null_in_a_list_of_texts_must_be_quoted():
    """An unquoted null would mean nothing at all, where the word was meant."""
    error = mistake("line: a\nsources: {a: {file: a.csv, missing: [NA, null]}}\nlabel: {column: y}\n")

    assert 'write "null" in quotes if that is the text' == error.hint


def test_bounds_are_numbers_or_dates_as_written():
    """A bound keeps its kind, since a date is compared as a date."""
    spec = line(
        "contract:\n  columns:\n    t: {type: date, min: 2020-01-01, max: 2021-06-30}\n    n: {type: number, min: -1.5, max: 3}\n"
    )

    assert (date(2020, 1, 1), date(2021, 6, 30)) == (
        spec.contract.columns["t"].min,
        spec.contract.columns["t"].max,
    )
    assert (-1.5, 3) == (spec.contract.columns["n"].min, spec.contract.columns["n"].max)


def test_a_secret_is_never_repeated():
    """Messages end in logs and tickets; a password must not travel with them."""
    error = mistake(
        HEAD.replace("file: a.csv", "file: 'https://me:hunter2@host/a.csv'") + "password: hunter2\n"
    )

    assert "hunter2" not in json.dumps(error.to_json())
    assert 3 == len(error.details["errors"])


def test_a_reference_to_a_secret_is_no_secret():
    """References are the way out that the message names."""
    assert "env:TOKEN" == line("owner: env:TOKEN\n").owner


def test_a_key_may_also_be_the_group():
    """A group per row harms nothing, and a template may say both."""
    assert "id" == line("table: {key: id, group: id}\n").table.group


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path: Path):
    """The nearest name is usually the one that was meant."""
    (tmp_path / "claims.yaml").write_text(HEAD)

    with pytest.raises(NotFound, match=r"did you mean 'claims\.yaml'\?"):
        read_line(tmp_path / "claim.yaml")


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path):
    """A line file is written by people; more is a mistake or an attack."""
    path = tmp_path / "a.yaml"
    path.write_text(HEAD + "# " + "x" * (1 << 20))

    with pytest.raises(SpecError, match="at most 1 MiB"):
        read_line(path)


def test_a_folder_is_no_line_file(tmp_path: Path):
    """What cannot be read is said to be, not raised through."""
    with pytest.raises(SpecError, match="cannot read it"):
        read_line(tmp_path)


def test_what_has_no_step_yet_is_named_with_its_place(tmp_path: Path):
    """`check` must refuse what would otherwise silently do nothing."""
    path = tmp_path / "claims.yaml"
    path.write_text(
        (HERE / "claims.yaml").read_text().replace("{type: integer, min: 16, max: 110,", "{type: list,")
    )

    errors = unsupported(read_line(path), path)

    assert [(f"{path}:13:11", "'contract.columns.Age.type'", "a type of single values")] == [
        (error.where, error.what.split(" is ")[0], error.allowed) for error in errors
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("contract: {columns: {y: {type: list}}}\n", "contract.columns.y.type"),
    ],
)
def test_each_reserved_word_is_refused_by_name(text: str, where: str):
    """The grammar is whole from the start; its steps come one by one."""
    assert [where] == [error.where for error in unsupported(line(text))]


def test_an_ordinary_line_asks_for_nothing_that_is_missing():
    """The default must run."""
    assert [] == unsupported(line("table: {subject: person}\nrelease: {approve: [owner]}\n"))


def test_the_schema_describes_every_section():
    """Editors and forms show these sentences."""
    whole = schema()

    assert set(LineSpec.model_fields) == set(whole["properties"])
    assert [] == [
        name
        for name, part in whole["properties"].items()
        if not (part.get("description") or part.get("$ref"))
    ]
    assert {"line", "sources", "label"} == set(whole["required"])
    for section in LineSpec.model_fields:
        assert schema(section)["description"]


def test_a_section_that_does_not_exist_is_answered_with_the_nearest():
    """`linewright schema gate` should lead to `gates`."""
    with pytest.raises(SpecError, match="did you mean 'gates'"):
        schema("gate")


def _patterns(model: type[BaseModel]) -> set[str]:
    def walk(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["pattern"]} if isinstance(value.get("pattern"), str) else set()
            return own.union(*map(walk, value.values()))
        return set().union(*map(walk, value)) if isinstance(value, list) else set()

    return walk(model.model_json_schema())


def test_every_pattern_of_the_grammar_is_said_in_words():
    """Nobody should have to read a regular expression to write a duration."""
    assert _patterns(LineSpec) | _patterns(FactoryFile) == set(FORMS)


@given(st.text(max_size=200))
def test_any_text_that_is_no_line_is_answered_with_a_place(text: str):
    """Whatever a person saves by accident, the answer is a message."""
    with pytest.raises(SpecError, match=r"a\.yaml:[0-9]+:[0-9]+"):
        parse_line("about: " + text, name="a.yaml")


_PIECES = st.sampled_from(
    [
        *("line", "sources", "label", "train", "gates", "watch", "retrain", "contract", "columns", "metric"),
        *(
            ": ",
            ":",
            "- ",
            ", ",
            "[",
            "]",
            "{",
            "}",
            "\n",
            "\n  ",
            "\n    ",
            "\t",
            "#",
            "|",
            ">",
            "&a ",
            "*a",
            "!!str ",
        ),
        *(
            "'",
            '"',
            "\\",
            "%",
            "@",
            "?",
            "? ",
            "---\n",
            "...\n",
            "<<: ",
            "~",
            "null",
            "true",
            ".nan",
            "1e999",
            "0x1f",
        ),
        *("a.csv", "2024-05-01", "5%", "45d", "\0", "\ufeff", "\u2028", "\x85", "ä", "9" * 400),
    ]
)


def answered(text: str) -> None:
    """Read it: what comes is a line, or a mistake with its place."""
    where = "lines/claims.yaml:1:1"
    try:
        parse_line(text, name="lines/claims.yaml")
    except SpecError as error:
        where = error.where
    assert re.fullmatch(r"lines/claims\.yaml:[1-9][0-9]*:[1-9][0-9]*", where)


@settings(deadline=2000)
@given(st.lists(_PIECES | st.text(max_size=4), max_size=40).map("".join))
def test_any_heap_of_yaml_is_answered_with_a_place(text: str):
    """Law: nothing that can stand in a file raises anything but a mistake with its place."""
    answered(text)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """Give a good file to which a few things were done: cut, put in, taken out, doubled."""
    text = (HERE / "claims.yaml").read_text()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        put = draw(_PIECES | st.text(max_size=6) | st.just(text[start:end] * 2))
        text = text[:start] + put + text[end:]
    return text


@settings(deadline=2000)
@given(_mutated())
def test_a_good_file_that_was_damaged_is_a_line_or_answered_with_a_place(text: str):
    """Law: a slip of the hand in any place is answered with a place."""
    answered(text)


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(about=_WORDS, column=_WORDS, positive=_WORDS, allowed=st.lists(_WORDS, max_size=4))
def test_a_spec_survives_the_way_through_a_file(about: str, column: str, positive: str, allowed: list[str]):
    """What was declared is what is read, whatever letters it is made of."""
    spec = LineSpec.model_validate(
        {
            "line": "a",
            "about": about,
            "sources": {"a": {"file": "a.csv"}},
            "label": {"column": "y", "positive": positive},
            "contract": {"columns": {column: {"type": "category", "allowed": allowed}}},
        }
    )

    assert spec == parse_line(json.dumps(spec.model_dump(mode="json", exclude_defaults=True)), name="a.yaml")


def test_a_new_factory_file_is_read_and_an_old_one_is_left_alone(tmp_path: Path):
    """Making a factory twice must not forget what a person wrote."""
    write_factory_file(tmp_path)
    assert 1 == read_factory_file(tmp_path).format

    (tmp_path / "factory.yaml").write_text("format: 1\nabout: ours\n")
    write_factory_file(tmp_path)

    assert "ours" == read_factory_file(tmp_path).about


def test_a_factory_of_another_format_is_refused(tmp_path: Path):
    """An older Linewright must not write into a newer folder."""
    (tmp_path / "factory.yaml").write_text("format: 2\n")

    with pytest.raises(
        SpecError, match=r"factory\.yaml:1:9: 'format' cannot have this value: found 2, allowed: 1"
    ):
        read_factory_file(tmp_path)


def test_a_text_is_read_once_for_all_that_is_asked_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run reads its file some times, and a file with sites is read for each; mistakes are told each time."""
    texts: list[object] = []

    class Counted(YAML):
        def parse(self, stream: object) -> object:
            texts.append(stream)
            return super().parse(stream)

    monkeypatch.setattr(yaml_nodes, "YAML", Counted)
    path = tmp_path / "a.yaml"
    path.write_text(f"{HEAD}sites: {{lyon: {{}}, turin: {{}}}}  # read once\n")
    for _ in range(2):
        for site in sites_in(path.read_text()):
            assert [] == unsupported(parse_line(path.read_text(), name=str(path), site=site), path)
    wrong = f"{HEAD}labels: 3  # read once\n"
    said = []
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            parse_line(wrong, name="a.yaml")
        said.append(caught.value.to_json())

    assert [path.read_text(), wrong] == texts
    assert said[0] == said[1]
