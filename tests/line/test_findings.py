"""What `new`, `check`, `run` and the card say of the data: the same findings, which a person can answer."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import NewLine, new_line
from linewright.capabilities.evidence.operations import card
from linewright.capabilities.lines.operations import CheckedLine, check, plan
from linewright.data.facts import Finding, Ingested
from linewright.data.finding_text import finding_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.file.read import read_line
from linewright.line.runs.execute import execute_inline

ROWS = 900


def claims(**columns: Any) -> pl.DataFrame:
    """Give three honest numbers and a label of two classes, and what else is asked for."""
    rng = np.random.default_rng(8)
    size, y = rng.normal(size=ROWS).round(3), rng.normal(size=ROWS)
    y = np.where(size + y > 0.6, "yes", "no")
    made = {name: make(rng, y) if callable(make) else make for name, make in columns.items()}
    base = {name: rng.normal(size=ROWS).round(3) for name in ("heat", "load")}
    return pl.DataFrame({"size": size, **base, **made, "y": y}, strict=False)


def days(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return how long patients are seen: until they die, or until the study ends."""
    return np.where(y == "yes", rng.gamma(6, 60, ROWS), rng.gamma(30, 40, ROWS)).round()


def written(folder: Path, frame: pl.DataFrame, **told: str) -> NewLine:
    """Write a line of a table as `new` does, of the quick budget."""
    frame.write_csv(folder / "a.csv")
    made = new_line(folder, "a", folder / "a.csv", GivenRoles(label="y", **told))
    path = folder / "lines" / "a.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    return made


def declared(folder: Path, frame: pl.DataFrame, **line: Any) -> dict[str, Any]:
    """Write a line by hand; JSON is YAML."""
    frame.write_csv(folder / "a.csv")
    return rewrite(
        folder, {"line": "a", "sources": {"a": {"file": "a.csv"}}, "label": {"column": "y"}, **line}
    )


def rewrite(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    (folder / "lines").mkdir(exist_ok=True)
    (folder / "lines" / "a.yaml").write_text(json.dumps(spec))
    return spec


def checked(folder: Path) -> CheckedLine:
    with Factory.create(folder) as factory:
        return check(factory, "a").lines[0]


def told(found: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.check, one.columns) for one in found.findings]


def mended(spec: dict[str, Any], findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return a line file with all remedies in it."""
    spec = json.loads(json.dumps(spec))
    for edit in (edit for one in findings for edit in one.remedy):
        *parents, key = edit.path
        place = spec
        for parent in parents:
            place = place.setdefault(parent, {})
        if edit.is_item:
            place.setdefault(key, []).append(edit.value)
        else:
            place[key] = edit.value
    return spec


def test_new_check_run_and_card_say_the_same(tmp_path: Path):
    """Who never looks at `check` had a model promoted that had read the outcome."""
    frame = claims(outcome=lambda _, y: np.where(y == "yes", "paid", "open"), days=days)
    made = written(tmp_path, frame)
    path = tmp_path / "lines" / "a.yaml"
    text = path.read_text().replace("  columns:\n", "  columns:\n    outcome: {type: category}\n", 1)
    path.write_text(re.sub(r"  exclude:.*\n    - outcome.*\n", "", text))
    with Factory.create(tmp_path) as factory:
        found = check(factory, "a").lines[0]
        ran = execute_inline(factory, "a")
        page = card(factory, "a").markdown

    expected = [("leak-perfect", ("outcome",)), ("strong", ("days",))]
    assert ("outcome",) == made.excluded
    assert expected == sorted(told(made)) == sorted(told(found)) == sorted(told(ran))
    assert "outcome: leak-perfect: each of its 2 values" in result_text(made)
    assert (
        "add [outcome] to table.exclude, or to checks.known what was known before the label"
        in result_text(ran)
    )
    assert "may see what was known only with the label. outcome: leak-perfect: each of its" in page
    assert "A question of the data that a person answers. days: strong: alone it reaches" in page


def test_check_prints_ids_and_how_to_silence_them(tmp_path: Path):
    """A warning that nobody can answer is not read the second time."""
    declared(tmp_path, claims(days=days))
    with Factory.create(tmp_path) as factory:
        text = result_text(check(factory, "a"))

    assert re.search(r"\n  ask: days: strong: alone .*; if not, add days to table.exclude\n", text)
    assert "checks: {disable: [ID]}" in text
    assert "checks: {known: [COLUMN]}" in text


@pytest.mark.parametrize("answer", [{"known": ["days"]}, {"disable": ["strong"]}], ids=["known", "disabled"])
def test_an_answer_in_the_line_file_ends_the_question(tmp_path: Path, answer: dict[str, list[str]]):
    """It was known: a party predicts a vote and is known before it."""
    spec = declared(tmp_path, claims(days=days), train={"budget": "quick"})
    with Factory.create(tmp_path) as factory:
        asked = execute_inline(factory, "a")
        rewrite(tmp_path, spec | {"checks": answer})
        answered = execute_inline(factory, "a")
        newest = factory.metadata.events(Finished, line="a", newest_first=True)[0]
        kept = factory.metadata.get(str(newest.ingested), Ingested).findings

    assert [("strong", ("days",))] == told(asked)
    assert [] == told(answered) == [*kept] == told(checked(tmp_path))
    assert (asked.dataset, asked.digest) == (answered.dataset, answered.digest)


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ({"disable": ["stronk"]}, "did you mean 'strong'?"),
        ({"disable": ["leak"]}, "leak-perfect"),
        ({"known": ["y"]}, "the label is no column that was known before"),
        ({"known": ["dais"]}, "did you mean 'days'?"),
    ],
)
def test_a_strange_answer_is_refused_with_its_place(tmp_path: Path, said: Any, allowed: str):
    """A misspelt answer would silence nothing, and look as if it did."""
    declared(tmp_path, claims(days=days), checks=said)
    (error,) = checked(tmp_path).errors

    assert ":1:" in error["where"]
    assert allowed in error["message"]


def test_a_run_asks_until_a_model_that_was_asked_about_serves(tmp_path: Path):
    """Who lets that model serve has answered, and the next question is another one."""
    spec = declared(tmp_path, claims(days=days), train={"budget": "quick"})
    with Factory.create(tmp_path) as factory:
        asked = execute_inline(factory, "a")
        rewrite(tmp_path, spec | {"train": {"budget": "quick", "split": {"test": 0.25}}})
        again = execute_inline(factory, "a")

    assert (True, [("strong", ("days",))], []) == (asked.promoted, told(asked), told(again))


def test_a_run_asks_for_the_time_each_time_unless_the_split_is_said(tmp_path: Path):
    """A certificate of days between days says nothing of days to come."""
    rng = np.random.default_rng(3)
    frame = claims(pan_day=np.sort(rng.integers(4, 108, ROWS)))
    spec = declared(tmp_path, frame, train={"budget": "quick"})
    with Factory.create(tmp_path) as factory:
        ran = [execute_inline(factory, "a"), execute_inline(factory, "a")]
        page = card(factory, "a").markdown
        rewrite(tmp_path, spec | {"train": {"budget": "quick", "split": {"by": "random"}}})
        ran.append(execute_inline(factory, "a"))

    assert [[("order", ("pan_day",))]] * 2 + [[]] == [told(one) for one in ran]
    assert (
        "The test rows are not the latest: pan_day: order: the rows lie in its order, from 4 to 107" in page
    )


MISLEADING = [
    ("near-constant", claims(unit=lambda _, y: ["mm" if i % 90 else "cm" for i in range(len(y))])),
    ("leak-one-class", claims(paid=lambda _, y: [i if one == "yes" and i % 3 else None for i, one in enumerate(y)])),
    ("id", claims(number=np.arange(ROWS))),
    ("few-rows", claims().with_columns(y=pl.Series(["odd"] * 6 + ["even"] * 9 + claims()["y"].to_list()[15:]))),
    ("group", claims(bed=[f"P{i // 6:04}" for i in range(ROWS)], age=[i // 6 * 37 % 50 for i in range(ROWS)])),
    ("year-month", claims(Year=lambda rng, _: rng.integers(2009, 2012, ROWS), Month=lambda rng, _: rng.integers(1, 13, ROWS))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "frame"), MISLEADING, ids=[name for name, _ in MISLEADING])
def test_the_remedies_of_findings_take_them_away(tmp_path: Path, name: str, frame: pl.DataFrame):
    """An edit is a value: a program applies it, and the line is sound."""
    spec = declared(tmp_path, frame)
    found = checked(tmp_path).findings
    rewrite(tmp_path, mended(spec, found))

    assert name in {one.check for one in found}
    after = checked(tmp_path)
    assert ((), []) == (
        after.errors,
        [one for one in after.findings if one.check in {each.check for each in found}],
    )


def test_what_new_suggests_as_a_comment_is_right_once_it_is_uncommented(tmp_path: Path):
    """A person takes the mark away, and nothing else."""
    made = written(
        tmp_path,
        claims(bed=[f"P{i // 6:04}" for i in range(ROWS)], age=[i // 6 * 37 % 50 for i in range(ROWS)]),
    )
    path = tmp_path / "lines" / "a.yaml"
    path.write_text(path.read_text().replace("# group: bed", "group: bed"))

    assert [("group", ("bed",))] == told(made)
    assert "bed" == read_line(path).table.group
    assert [] == told(checked(tmp_path))


def test_a_line_without_cause_says_nothing(tmp_path: Path):
    """A warning that cries wolf is not read."""
    declared(tmp_path, claims(word=lambda rng, y: rng.choice(list("abc"), len(y))))
    found = checked(tmp_path)

    assert ((), ()) == (found.findings, found.errors)


def test_few_groups_are_told_by_new_check_and_plan(tmp_path: Path):
    """A run would end without a verdict, and its intervals would say nothing."""
    made = written(tmp_path, claims(who=[f"p{i % 4}" for i in range(ROWS)]), group="who")
    with Factory.create(tmp_path) as factory:
        planned: Any = plan(factory, "a")
        (found,) = check(factory, "a").lines[0].findings

    assert re.search(
        r"group: who +# you named it; only 4 groups", (tmp_path / "lines" / "a.yaml").read_text()
    )
    assert [("few-groups", ("who",))] == told(planned) == told(made)
    assert (found,) == planned.findings
    assert finding_in_words(found).startswith("who: few-groups: only 4 groups")
    assert f"warn: {finding_in_words(found)}" in result_text(planned)


@pytest.mark.parametrize("yes", [1, 400], ids=["one", "enough"])
def test_check_foresees_a_part_that_would_stop_a_run(tmp_path: Path, yes: int):
    """A run says it after a minute, `check` before."""
    frame = claims().with_columns(
        y=pl.Series(["yes"] * yes + ["no"] * (ROWS - yes)).sample(fraction=1, shuffle=True, seed=1)
    )
    declared(tmp_path, frame, train={"budget": "quick"})
    with Factory.create(tmp_path) as factory:
        foreseen = [one for one in check(factory, "a").lines[0].findings if one.check == "one-sided"]
        try:
            execute_inline(factory, "a")
            ends = False
        except LinewrightError:
            ends = True

    assert (yes == 1) == ends == bool(foreseen)


def test_check_foresees_a_label_that_is_known_too_late(tmp_path: Path):
    """Some rows train, and of none of them the label was known when a later one came: a run stopped in its training."""
    start = datetime(2026, 1, 1)
    at = pl.Series([str(start + timedelta(hours=number * 1440 // ROWS)) for number in range(ROWS)])
    spec = declared(tmp_path, claims().with_columns(at=at), table={"time": "at"}, train={"budget": "quick"})
    with Factory.create(tmp_path) as factory:
        foreseen = list[bool]()
        for late in ("5d", "45d"):
            rewrite(tmp_path, spec | {"label": {"column": "y", "delay": late}})
            found = [finding_in_words(one) for one in check(factory, "a").lines[0].findings]
            foreseen.append(any("no block of time" in one and "shorten label.delay" in one for one in found))
        with pytest.raises(SpecError, match="no block of time has training rows before it"):
            execute_inline(factory, "a")
        # The rows are there now: a plan knows it too.
        for late, says in (("46d", "no block of time"), ("200d", "no label of a training row is known")):
            rewrite(tmp_path, spec | {"label": {"column": "y", "delay": late}})
            with pytest.raises(SpecError, match=says) as caught:
                plan(factory, "a")
            assert late == caught.value.found
        rewrite(tmp_path, spec | {"label": {"column": "y", "delay": "5d"}})
        assert plan(factory, "a")

    assert [False, True] == foreseen


def test_a_run_says_that_most_of_its_test_rows_are_known_by_heart(tmp_path: Path):
    """95 % of the test rows were copies of training rows, and the average precision of 0.9 had no warning beside it."""
    frame = (
        pl.concat([claims().head(300)] * 3).with_row_index("order").sample(fraction=1, shuffle=True, seed=1)
    )
    written(tmp_path, frame, key="order")
    with Factory.create(tmp_path) as factory:
        text = result_text(execute_inline(factory, "a"))

    assert re.search(
        r"warn +\d+ of \d+ test rows repeat a training row, features and label alike, and stay", text
    )
    assert "repeats" in {one.check for one in checked(tmp_path).findings}


def test_a_class_with_a_test_row_or_none_is_named(tmp_path: Path):
    """The balanced accuracy had an interval from 0 to 1, and nothing said why."""
    frame = claims()
    written(tmp_path, frame.with_columns(y=pl.Series([*["c"] * 12, *frame["y"].to_list()[12:]])))
    with Factory.create(tmp_path) as factory:
        ran = execute_inline(factory, "a")
        page = card(factory, "a").markdown

    ((name, rows),) = ran.few_tested
    says = f"of class 'c' there {'is' if rows == 1 else 'are'} {rows} test row{'' if rows == 1 else 's'}: metrics that count"
    assert ("c", True) == (name, rows < 5)
    assert f"  warn     {says}" in result_text(ran)
    assert f"O{says[1:]}" in page
