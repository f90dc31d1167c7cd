"""What misleads in the data: found by `new`, said by `check`, mended by the line that they give; an honest neighbour is left alone."""

import calendar
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from linewright.data.traps import Trap
from linewright.errors import LinewrightError
from linewright.line import new
from linewright.line.execute import execute_inline
from linewright.line.factory import Factory
from linewright.line.new import NewLine, new_line
from linewright.operations.lines import CheckedLine, PlanResult, check, plan

ROWS = 1_200
Rng = np.random.Generator
Make = Callable[[Rng, np.ndarray], Any]


def claims(rows: int = ROWS, **columns: Any) -> pl.DataFrame:
    """Give two honest numbers and a label of two classes, and what else is asked for."""
    rng = np.random.default_rng(8)
    size, age = rng.normal(size=rows).round(4), rng.integers(18, 90, rows)
    y = np.where(size + rng.normal(size=rows) > 0.6, "yes", "no")
    made = {name: make(rng, y) if callable(make) else make for name, make in columns.items()}
    return pl.DataFrame({"size": size, "age": age, **made, "y": y}, strict=False)


def written(folder: Path, frame: pl.DataFrame, **options: Any) -> NewLine:
    frame.write_csv(folder / "a.csv")
    return new_line(folder, "a", data=folder / "a.csv", label=options.pop("label", "y"), **options)


def hand_written(folder: Path, frame: pl.DataFrame, text: str = "label: {column: y}\n") -> CheckedLine:
    frame.write_csv(folder / "a.csv")
    (folder / "lines").mkdir()
    (folder / "lines" / "a.yaml").write_text(f"line: a\nsources: {{a: {{file: a.csv}}}}\n{text}")
    return checked(folder)


def checked(folder: Path) -> CheckedLine:
    """Check a line, and leave off what it asks of the size, which honestly tells the label, and of the best column of public tables."""
    found = whole_check(folder)
    questions = [trap for trap in found.traps if trap.trap == "strong"]
    said = {trap.to_text() for trap in questions}
    return msgspec.structs.replace(
        found,
        traps=tuple(trap for trap in found.traps if trap not in questions),
        doubts=tuple(doubt for doubt in found.doubts if doubt not in said),
    )


def whole_check(folder: Path) -> CheckedLine:
    with Factory.create(folder) as factory:
        return check(factory, "a").lines[0]


def traps(line: CheckedLine | NewLine) -> dict[str, Trap]:
    return {trap.trap: trap for trap in line.traps}


def named(line: CheckedLine, kind: str) -> set[str]:
    return {name for trap in line.traps if trap.trap == kind for name in trap.columns}


def add(folder: Path, trap: Trap) -> None:
    """Write the line of a trap into the line file, under the section that it names."""
    path = folder / "lines" / "a.yaml"
    text = path.read_text()
    if f"\n{trap.under}:" not in text:
        text += f"{trap.under}:\n  nothing\n"
    text = text.replace(f"\n{trap.under}: {{}}", f"\n{trap.under}:")
    body = "".join(f"  {line}\n" for line in trap.line.splitlines())
    path.write_text(re.sub(rf"(\n{trap.under}:.*\n)(  nothing\n)?", lambda found: found[1] + body, text))


def test_a_sound_line_has_no_traps(tmp_path: Path):
    """A warning that cries wolf is not read."""
    found = hand_written(tmp_path, claims(word=lambda rng, y: rng.choice(list("abc"), len(y))))

    assert ((), ()) == (found.doubts, found.traps)


COLUMNS: list[tuple[str, Make, Make]] = [
    (
        "leak",
        lambda _, y: np.where(y == "yes", "paid", "open"),
        lambda rng, y: rng.choice(["s", "t"], len(y)),
    ),
    (
        "leak",
        lambda rng, y: [int(rng.integers(1, 9)) if one == "yes" else None for one in y],
        lambda rng, y: [int(rng.integers(1, 9)) if rng.random() < 0.5 else None for _ in y],
    ),
    ("id", lambda _, y: np.arange(len(y)), lambda rng, y: rng.integers(0, len(y), len(y))),
    ("id", lambda _, y: [f"C{i}" for i in range(len(y))], lambda rng, y: rng.choice(["C1", "C2"], len(y))),
    ("constant", lambda _, y: ["mm"] * len(y), lambda rng, y: rng.choice(["mm", "cm"], len(y))),
    (
        "near constant",
        lambda _, y: ["mm" if i % 100 else "cm" for i in range(len(y))],
        lambda _, y: ["mm" if i % 20 else "cm" for i in range(len(y))],
    ),
    (
        "near constant",
        lambda _, y: [None if i % 100 else i for i in range(len(y))],
        lambda _, y: [None if i % 20 else i for i in range(len(y))],
    ),
]


@pytest.mark.parametrize(
    ("kind", "bad", "honest"), COLUMNS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_check_says_which_features_a_model_should_not_see(tmp_path: Path, kind: str, bad: Make, honest: Make):
    """The line to write takes the doubt away, and the honest neighbour is never named."""
    found = hand_written(tmp_path, claims(bad=bad, honest=honest))

    assert {"bad"} == named(found, kind) == {name for trap in found.traps for name in trap.columns}
    assert ("table", "exclude: [bad]") == (found.traps[0].under, found.traps[0].line)
    assert [f"bad: {kind}: {found.traps[0].evidence}; under table: exclude: [bad]"] == list(found.doubts)
    assert re.search(r"\d", found.traps[0].evidence) or kind in {"id", "constant"}

    add(tmp_path, found.traps[0])
    assert () == checked(tmp_path).traps


def test_check_says_what_was_written_of_a_class(tmp_path: Path):
    """The line gave it to the model, and nothing that was measured in a row is named beside it."""
    kinds = np.arange(ROWS) % 6
    frame = claims(
        kind=[f"k{one}" for one in kinds], book=np.array(["round", "long", "round"] * 2)[kinds]
    ).drop("y")
    found = hand_written(tmp_path, frame, "label: {column: kind}\n")

    assert {"book"} == named(found, "leak") == {name for trap in found.traps for name in trap.columns}
    assert "each of the 6 classes has one value of it" in found.traps[0].evidence


def test_one_line_takes_all_of_them_away_and_keeps_what_was_excluded(tmp_path: Path):
    """Two lines of the same name are no line file."""
    frame = claims(row=lambda _, y: np.arange(len(y)), unit=lambda _, y: ["mm"] * len(y))
    text = "label: {column: y}\ntable:\n  exclude: [age]\n"
    found = hand_written(tmp_path, frame, text)

    assert {"exclude: [age, row, unit]"} == {trap.line for trap in found.traps}
    path = tmp_path / "lines" / "a.yaml"
    path.write_text(path.read_text().replace("exclude: [age]", found.traps[0].line))
    assert () == checked(tmp_path).traps


def test_what_new_keeps_from_the_model_check_says_no_more(tmp_path: Path):
    """`new` and `check` look with the same eyes."""
    columns = {f"{kind} {number}": bad for number, (kind, bad, _) in enumerate(COLUMNS)}
    made = written(tmp_path, claims(**columns))

    assert {"near constant"} == {trap.trap for trap in checked(tmp_path).traps}
    assert 'exclude: ["near constant 5"]' in {remark.line for remark in made.findings}
    assert re.search(
        r'^  # exclude: \[.*"near constant 5".*\]  # too few',
        (tmp_path / "lines" / "a.yaml").read_text(),
        re.MULTILINE,
    )


def test_check_asks_again_what_new_asked_of_columns_that_the_line_reads(tmp_path: Path):
    """A model that had read the weight at birth was promoted, and the honest one that followed was rejected."""
    columns: dict[str, Any] = {
        "birth_outcome": lambda rng, y: rng.choice(["live", "lost"], len(y)),
        "row": lambda _, y: np.arange(len(y)),
        "unit": lambda _, y: ["mm" if i % 100 else "cm" for i in range(len(y))],
    }
    made = written(tmp_path, claims(**columns))
    asked = {one.column: one for one in made.findings if one.verdict in {"strong", "name"}}
    found = whole_check(tmp_path)

    assert {"size": "strong", "birth_outcome": "name"} == {name: one.verdict for name, one in asked.items()}
    assert ["strong", "name", "near constant"] == [trap.trap for trap in found.traps]
    for trap in found.traps[:2]:
        evidence = asked[trap.columns[0]].evidence
        line = f"exclude: [{trap.columns[0]}]"
        assert (evidence, "table", line) == (trap.evidence, trap.under, trap.line)
        assert f"{trap.columns[0]}: {trap.trap}: {evidence}; if not, under table: {line}" in found.doubts


def test_words_of_a_text_that_tell_the_label_are_asked_about_by_new_and_by_check(tmp_path: Path):
    """Words of a report on what came of it were read as free text, and neither said a word of them."""

    def remarks(rng: Rng, y: np.ndarray) -> list[str]:
        said = rng.choice(["left", "right", "front", "rear", "door", "roof", "glass", "tyre"], (len(y), 4))
        paid = np.where((y == "yes") & (rng.random(len(y)) < 0.4), "settled", "seen")
        return [f"{' '.join(words)} {end} {n}" for n, (words, end) in enumerate(zip(said, paid, strict=True))]

    made = written(tmp_path, claims(remarks=remarks))
    found = whole_check(tmp_path)

    (asked,) = [one for one in made.findings if (one.column, one.verdict) == ("remarks", "strong")]
    (trap,) = [trap for trap in found.traps if trap.columns == ("remarks",)]
    assert "with 'settled' in it 100 % are 'yes'" in asked.evidence
    assert (asked.evidence, "table", "exclude: [remarks]") == (trap.evidence, trap.under, trap.line)
    assert f"strong: {asked.evidence}; text: free text" in (tmp_path / "lines" / "a.yaml").read_text()


def test_a_question_is_answered_by_leaving_the_column_out(tmp_path: Path):
    """What a line leaves out already stays left out, and each question has its own line."""
    text = "label: {column: y}\ntable:\n  exclude:\n  - age\n"
    hand_written(tmp_path, claims(outcome=lambda rng, y: rng.choice(["a", "b"], len(y))), text)
    traps_before = whole_check(tmp_path).traps
    assert [("table.exclude", "- size"), ("table.exclude", "- outcome")] == [
        (trap.under, trap.line) for trap in traps_before
    ]

    path = tmp_path / "lines" / "a.yaml"
    path.write_text(path.read_text() + "".join(f"  {trap.line}\n" for trap in traps_before[1:]))
    assert traps_before[:1] == whole_check(tmp_path).traps
    path.write_text(path.read_text() + f"  {traps_before[0].line}\n")
    assert () == checked(tmp_path).traps


def dated(frame: pl.DataFrame, form: str = "%Y-%m-%d") -> pl.DataFrame:
    """Give each row a day of 2024, and a kind that says nothing of the label."""
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 12, 30), eager=True)
    day = days.gather([n * 365 // len(frame) for n in range(len(frame))]).dt.strftime(form)
    kind = pl.Series([["other", "north", "south", "east"][n * 7 % 4] for n in range(len(frame))])
    return frame.with_columns(day=day, kind=kind)


def bared(frame: pl.DataFrame, where: pl.Expr, form: str = "%Y-%m-%d") -> pl.DataFrame:
    """Take the label from some rows, and from one of 40 of all."""
    month = pl.col("day").str.to_date(form).dt.month().alias("month")
    is_bare = where | (pl.int_range(pl.len()) % 40 == 1)
    return frame.with_columns(month).with_columns(y=pl.when(~is_bare).then("y")).drop("month")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_parts_of_the_table_without_a_label_are_named(tmp_path: Path, form: str):
    """A model that never saw their truth was asked about them, and "rows without a label" was all that was said."""
    frame = bared(dated(claims(), form), (pl.col("kind") == "other") | (pl.col("month") < 6), form)
    made = written(tmp_path, frame, time="day")
    trap = traps(made)["unlabelled"]

    assert ("day", "kind") == trap.columns
    assert "(41.7 % of all) none has a label (elsewhere " in trap.evidence
    assert "of the 300 rows where kind is 'other' (25.0 % of all) none has a label" in trap.evidence
    assert "\n  # sql: " in (tmp_path / "lines" / "a.yaml").read_text()
    assert trap == traps(checked(tmp_path))["unlabelled"]
    assert trap.rows is not None

    add(tmp_path, trap)
    after = checked(tmp_path)
    assert ((), ROWS - trap.rows) == (after.traps, after.rows)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ((pl.col("kind") == "other") & (pl.int_range(pl.len()) % 112 != 0), "only 11 have a label"),
        (pl.col("month").is_between(3, 4), "with day from 2024-03-01 to 2024-0"),
        (pl.col("month") > 10, "if their truth is still to come, label.delay says how long that takes"),
        (pl.int_range(pl.len()) % 3 == 0, ""),
        ((pl.col("kind") == "other") & (pl.int_range(pl.len()) % 28 != 0), ""),
    ],
    ids=["nearly", "between", "last", "chance", "most"],
)
def test_labels_that_are_missing_by_chance_are_no_part(tmp_path: Path, where: pl.Expr, says: str):
    """Gaps here and there are what data have."""
    found = hand_written(tmp_path, bared(dated(claims()), where), "label: {column: y}\ntable: {time: day}\n")

    assert bool(says) == ("unlabelled" in traps(found))
    assert says in "".join(trap.evidence for trap in found.traps)


def test_a_label_that_is_mostly_empty_is_asked_about(tmp_path: Path):
    """An empty cell said that a strike of birds had no effect; nine rows in ten were passed over, and no word on how to mean them."""
    frame = (
        claims()
        .with_columns(
            effect=pl.when(pl.int_range(pl.len()) % 5 < 2).then(
                pl.col("y").replace_strict({"yes": "stop", "no": "land"})
            )
        )
        .drop("y")
    )
    made = written(tmp_path, frame, label="effect")
    trap = traps(made)["unlabelled"]

    assert ("effect",) == trap.columns
    assert "60.0 % of the rows have no label, of every kind and time" in trap.evidence
    assert "task: multiclass (under train), and no label.positive" in trap.evidence
    assert trap == traps(checked(tmp_path))["unlabelled"]

    add(tmp_path, trap)
    path = tmp_path / "lines" / "a.yaml"
    asked = (
        path.read_text()
        .replace('allowed: ["land", ', 'allowed: ["none", "land", ')
        .replace("task: binary", "task: multiclass")
    )
    path.write_text(
        re.sub(r'(label: {column: effect), positive: "\w+"}', r"\1}", asked).replace(
            "average_precision", "log_loss"
        )
    )
    after = checked(tmp_path)
    assert (ROWS, ()) == (after.rows, after.errors)
    assert "unlabelled" not in traps(after)


def test_a_column_that_is_the_same_in_all_rows_with_a_label_is_constant(tmp_path: Path):
    """A model sees only those; in use it would meet values that it knows nothing of."""
    frame = bared(dated(claims()), pl.col("month") < 6)
    frame = frame.with_columns(
        tariff=pl.when(pl.col("day") < "2024-06-01").then(pl.lit("old")).otherwise(pl.lit("new"))
    )
    found = hand_written(tmp_path, frame, "label: {column: y}\ntable: {time: day}\n")

    assert {"tariff"} == named(found, "constant")
    assert "every row with a label has the same value, 'new'" == traps(found)["constant"].evidence
    assert "exclude: [tariff]" == traps(found)["constant"].line


def copied(keyed: bool) -> pl.DataFrame:
    """Give rows of which each third one stands twice."""
    frame = claims()
    frame = pl.concat([frame, frame.gather_every(3)])
    return frame.with_columns(number=pl.int_range(len(frame)).shuffle(seed=1)) if keyed else frame


def test_rows_that_are_in_both_parts_are_counted(tmp_path: Path):
    """A model that remembers looks better than it is; the query that keeps one of each says the rest."""
    found = hand_written(tmp_path, copied(keyed=True), "label: {column: y}\ntable:\n  key: number\n")
    trap = traps(found)["repeats"]

    assert trap.rows is not None
    assert trap.share is not None
    assert 0.3 < trap.share < 0.5
    assert (
        f"{trap.rows:,} test rows ({trap.share:.1%} of them) have the very features of a training row"
        in trap.evidence
    )
    assert "100% of these its label too" in trap.evidence

    add(tmp_path, trap)
    after = checked(tmp_path)
    assert ((), ROWS) == (after.traps, after.rows)


def test_equal_rows_without_a_key_stay_together(tmp_path: Path):
    """They are parted by their content, so that none is in both parts."""
    assert () == hand_written(tmp_path, copied(keyed=False)).traps


@pytest.mark.parametrize("has_traps", [False, True])
def test_a_new_line_is_read_again_only_where_traps_make_it_another_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_traps: bool
):
    """A text of thousands of columns takes seconds to read."""
    read: list[str] = []
    parse_line = new.parse_line
    monkeypatch.setattr(
        new, "parse_line", lambda text, name: read.append(text) or parse_line(text, name=name)
    )
    frame = copied(keyed=False)
    frame = frame.with_columns(note=pl.int_range(len(frame)).shuffle(seed=2) % 97)

    made = written(tmp_path, frame, exclude=["note"] if has_traps else [])

    assert has_traps == bool(made.traps)
    assert 1 + has_traps == len(read)
    assert (tmp_path / "lines" / "a.yaml").read_text() == read[-1]


def test_rows_that_are_alike_but_for_what_no_model_sees_are_made_a_group(tmp_path: Path):
    """Measured again on another day: no row is a copy, and none is new."""
    frame = copied(keyed=False)
    frame = frame.with_columns(note=pl.int_range(len(frame)).shuffle(seed=2) % 97)
    made = written(tmp_path, frame, exclude=["note"])
    trap = traps(made)["repeats"]

    assert "\ngroup: alike" in trap.line
    assert "# sql: " in (tmp_path / "lines" / "a.yaml").read_text()
    assert trap == traps(checked(tmp_path))["repeats"]

    path = tmp_path / "lines" / "a.yaml"
    path.write_text(
        re.sub(
            r"\ntable:\n",
            lambda _: f"\ntable:\n  {trap.line.replace(chr(10), chr(10) + '  ')}\n",
            path.read_text(),
        )
    )
    assert () == checked(tmp_path).traps


def test_rows_of_few_coarse_features_meet_by_chance(tmp_path: Path):
    """Three questions with four answers each: that two people say the same is no copy."""
    coarse = {name: lambda rng, y: rng.integers(0, 4, len(y)) for name in ("a", "b", "c")}
    frame = claims(**coarse, number=lambda _, y: [f"N{i}" for i in range(len(y))]).drop("size", "age")

    assert () == hand_written(tmp_path, frame, "label: {column: y}\ntable: {key: number}\n").traps


def test_rows_that_are_alike_and_differ_in_their_label_help_no_memory(tmp_path: Path):
    """Weights of animals meet now and then; their sex does not follow."""
    frame = copied(keyed=True)
    frame = frame.with_columns(y=pl.col("y").shuffle(seed=5))

    assert () == hand_written(tmp_path, frame, "label: {column: y}\ntable: {key: number}\n").traps


def test_a_minority_that_was_copied_before_the_split_is_found(tmp_path: Path):
    """The commonest way to a score that nobody sees again."""
    frame = claims()
    frame = pl.concat([frame, *[frame.filter(pl.col("y") == "yes")] * 3])
    frame = frame.with_columns(number=pl.int_range(len(frame)))

    found = hand_written(tmp_path, frame, "label: {column: y}\ntable: {key: number}\n")

    assert {"repeats"} == {trap.trap for trap in found.traps}
    assert (found.traps[0].share or 0) > 0.5


@pytest.mark.parametrize("label", ["y", "size"], ids=["classes", "numbers"])
def test_rows_that_are_sorted_by_the_label_are_told(tmp_path: Path, label: str):
    """Whoever takes the first rows for a sample sees one answer."""
    frame = claims().sort(label)
    found = hand_written(tmp_path, frame, f"label: {{column: {label}}}\n")

    assert {"sorted"} == {trap.trap for trap in found.traps}
    assert ("train", "split: {by: random}") == (found.traps[0].under, found.traps[0].line)
    assert () == hand_written_again(tmp_path, frame.sample(fraction=1.0, shuffle=True, seed=1)).traps


def hand_written_again(folder: Path, frame: pl.DataFrame) -> CheckedLine:
    frame.write_csv(folder / "a.csv")
    return checked(folder)


def test_a_class_of_two_rows_is_told_with_what_it_wants(tmp_path: Path):
    """Five folds cannot have it, and a test part may not either."""
    kind = lambda rng, y: np.where(np.arange(len(y)) % 600 == 7, "rare", rng.choice(["a", "b", "c"], len(y)))  # noqa: E731
    found = hand_written(tmp_path, claims(kind=kind).drop("y"), "label: {column: kind}\n")
    trap = traps(found)["few rows"]

    assert (1, 2) == (len(found.traps), trap.rows)
    assert "'rare' has 2 rows: 5 folds and a test part of 20% want at least 10" in trap.evidence

    add(tmp_path, trap)
    after = checked(tmp_path)
    assert ((), ROWS - 2) == (after.traps, after.rows)


@pytest.mark.parametrize("bad", [["abc"], ["yse", "noo", "noo"]], ids=["one", "some"])
def test_a_slip_in_a_label_of_two_classes_is_told_as_one(tmp_path: Path, bad: list[str]):
    """It made the label multiclass, without a positive class, and the advice was a query."""
    frame = claims()
    frame = frame.with_columns(y=pl.Series([*bad, *frame["y"].to_list()[len(bad) :]]))
    made = written(tmp_path, frame)
    trap = traps(made)["few rows"]

    lines = "line 2" if len(bad) == 1 else "lines 2, 3 and 4"
    assert (
        f"({lines}): probably {'a typing error' if len(bad) == 1 else 'typing errors'}; without "
        in trap.evidence
    )
    assert trap.evidence.endswith("the label is binary, 'no' or 'yes'; then task: binary (under train)")
    assert ("contract.columns", '"y": {type: category, allowed: ["no", "yes"]}') == (trap.under, trap.line)
    assert trap == traps(checked(tmp_path))["few rows"]

    path = tmp_path / "lines" / "a.yaml"
    text = re.sub(r'\n    "y": \{.*', lambda _: f"\n    {trap.line}", path.read_text())
    path.write_text(
        text.replace("task: multiclass", "task: binary").replace("metric: log_loss", "metric: roc_auc")
    )
    after = checked(tmp_path)
    assert ((), (), len(bad)) == (after.errors, after.traps, after.quarantined)


def trips(*, shuffled: bool = False, irregular: bool = False) -> pl.DataFrame:
    """Give one row for each way that a traveller may go, with what is the traveller's own."""
    rng = np.random.default_rng(12)
    people = 210
    often = rng.integers(2, 7, people) if irregular else np.full(people, 4)
    income, party = rng.integers(2, 80, people), rng.integers(1, 7, people)
    who = np.repeat(np.arange(people), often)
    frame = pl.DataFrame(
        {
            "individual": who + 1,
            "cost": rng.integers(5, 200, len(who)),
            "wait": rng.integers(0, 90, len(who)),
            "income": income[who],
            "party": party[who],
            "y": rng.choice(["no", "yes"], len(who)),
        }
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=2) if shuffled else frame


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (
            trips(),
            "each of its 210 values stands in 4 rows, in one block, and income, party are the same within each",
        ),
        (
            trips(shuffled=True),
            "each of its 210 values stands in 4 rows, and income, party are the same within each",
        ),
        (trips(irregular=True), "rows on average, in one block, and income, party are the same"),
        (trips(shuffled=True).drop("income", "party"), "each of its 210 values stands in 4 rows: "),
    ],
    ids=["regular", "shuffled", "blocks", "nothing else"],
)
def test_a_group_is_found_though_nothing_names_it(tmp_path: Path, frame: pl.DataFrame, says: str):
    """Trips of one traveller in both parts make a model look better than it is."""
    made = written(tmp_path, frame)
    trap = traps(made)["group"]

    assert ("individual", "table", "group: individual") == (*trap.columns, trap.under, trap.line)
    assert says in trap.evidence
    assert "  # group: individual  # group: each of its" in (tmp_path / "lines" / "a.yaml").read_text()
    assert None is made.group
    assert trap in checked(tmp_path).traps

    add(tmp_path, trap)
    assert () == checked(tmp_path).traps


@pytest.mark.parametrize(
    "frame",
    [
        claims().sort("age"),
        claims(level=lambda rng, y: rng.integers(0, 100, len(y))),
        claims(week=[i % 60 for i in range(ROWS)]),
        claims(
            reading=lambda rng, y: np.repeat(rng.choice(10**6, 300, replace=False), 4)[
                rng.permutation(len(y))
            ]
        ),
        claims(dose=[i % 24 for i in range(ROWS)]),
    ],
    ids=["sorted", "chance", "calendar", "measured", "often"],
)
def test_numbers_that_repeat_for_other_reasons_are_no_group(tmp_path: Path, frame: pl.DataFrame):
    """Ages, weeks and doses repeat too."""
    assert "group" not in traps(written(tmp_path, frame))


def inspections(name: str = "business_name", *, own: bool = True) -> pl.DataFrame:
    """Give inspections of shops, many or few of each, with how many places a shop has."""
    rng = np.random.default_rng(5)
    shop = rng.integers(0, 60, ROWS) ** 2 // 40
    places = rng.permutation(90) % 11
    return claims(
        **{
            name: [f"Shop {one}" for one in shop],
            "places": places[shop] if own else rng.integers(0, 11, ROWS),
            "year": rng.integers(2000, 2020, ROWS),
        }
    )


def test_shops_in_several_rows_are_a_group_by_their_name(tmp_path: Path):
    """A name is no number, and says all the same what rows belong to."""
    frame = inspections()
    shops = frame["business_name"].n_unique()
    trap = traps(written(tmp_path, frame))["group"]

    assert (("business_name",), "group: business_name") == (trap.columns, trap.line)
    assert trap.evidence.startswith(
        f"{shops} values in 1,200 rows ({ROWS / shops:.1f} each on average), and places is the same within each: "
    )
    assert trap in checked(tmp_path).traps
    add(tmp_path, trap)
    assert () == checked(tmp_path).traps


def counties(name: str = "countyid", *, own: bool = True) -> pl.DataFrame:
    """Rows of counties and years in any order, with the number of the county, and the county's state where it has its `own`."""
    rng = np.random.default_rng(6)
    county = rng.integers(0, 90, ROWS)
    states = rng.permutation(90) % 11
    number = 1001 + 37 * county
    state = states[county] if own else rng.integers(0, 11, ROWS)
    return claims(**{name: number, "state": state, "year": rng.integers(1980, 1997, ROWS)})


@pytest.mark.parametrize("in_order", [False, True], ids=["in any order", "sorted"])
def test_a_number_of_something_is_a_group_in_any_order_of_the_rows(tmp_path: Path, in_order: bool):
    """Sorted by it, the file gave it away; shuffled, nothing was said of the same table."""
    frame = counties()
    trap = traps(written(tmp_path, frame.sort("countyid") if in_order else frame))["group"]

    assert (("countyid",), "group: countyid") == (trap.columns, trap.line)
    assert "state is the same within each" in trap.evidence


@pytest.mark.parametrize(
    "frame", [counties("paid"), counties(own=False)], ids=["no id", "nothing of its own"]
)
def test_numbers_that_repeat_are_no_group_by_themselves(tmp_path: Path, frame: pl.DataFrame):
    """Amounts repeat too, and a number with nothing of its own may be of anything."""
    assert "group" not in traps(written(tmp_path, frame))


@pytest.mark.parametrize(
    "frame", [inspections("street_name"), inspections(own=False)], ids=["no thing", "nothing of its own"]
)
def test_texts_that_repeat_are_no_group_by_themselves(tmp_path: Path, frame: pl.DataFrame):
    """Streets and words repeat too, and a table of shops may be one of sales."""
    assert "group" not in traps(written(tmp_path, frame))


def storms(year: str = "year", *, own: bool = True, many: int = 120, **columns: Any) -> pl.DataFrame:
    """Rows of storms one after the other: names come again in later years, and a storm's rows lie near each other where it has its `own` place."""
    rng = np.random.default_rng(14)
    storm = np.repeat(np.arange(many), rng.integers(6, 15, many))
    rows = len(storm)
    lat, long = (rng.uniform(0, 60, many)[storm] + rng.normal(size=rows) for _ in range(2))
    return pl.DataFrame(
        {
            "name": [f"Storm {'ABCDEFGHIJKLMNOPQRSTUVWX'[one * 7 % 24]}" for one in storm],
            year: 1990 + storm // 6,
            "lat": (lat if own else rng.uniform(0, 60, rows)).round(3),
            "long": (long if own else rng.uniform(0, 60, rows)).round(3),
            **columns,
            "y": (rng.normal(size=rows) * 20 + lat).round(1),
        }
    )


@pytest.mark.parametrize("excluded", [[], ["long"]], ids=["nothing excluded", "another excluded"])
def test_two_columns_that_only_together_name_what_rows_belong_to_are_a_group(
    tmp_path: Path, excluded: list[str]
):
    """Names of storms come again: `name` is no group and `year` is none, and rows of one storm lay in both parts."""
    frame = storms()
    made = written(tmp_path, frame, exclude=excluded)
    trap = traps(made)["group"]

    assert (("name", "year"), "table") == (trap.columns, trap.under)
    assert "sql: \"select *, name || ' ' || year as name_year from a\"\ngroup: name_year" == trap.line
    assert trap.evidence.startswith(
        f"24 values lie in 120 runs of {frame.height / 120:.1f} rows on average, 100 % of them in several, "
        "and with year beside it each run is named once; rows of a run are alike in "
    )
    leave = "- name (under table.exclude)" if excluded else "exclude: [name] (under table)"
    assert trap.evidence.endswith(f"leave it out too: {leave}")
    assert (None, "random") == (made.group, made.split)
    text = (tmp_path / "lines" / "a.yaml").read_text()
    assert 'as name_year from a"\n  # group: name_year  # group: 24 values lie in' in text
    assert "# no group" not in text
    assert trap in checked(tmp_path).traps


def test_the_column_of_two_parts_the_rows_by_what_they_belong_to(tmp_path: Path):
    """Whoever writes what is told has whole storms in the test part, and no feature that names them."""
    add(tmp_path, traps(written(tmp_path, storms()))["group"])

    with Factory.create(tmp_path) as factory:
        spec = factory.line("a")
    assert "name_year" == spec.table.group
    assert "name_year" not in spec.contract.columns
    assert "group" not in {trap.trap for trap in checked(tmp_path).traps}


def sorted_by_two(*, crossed: bool) -> pl.DataFrame:
    """Rows that somebody sorted by a state and a kind: where they are `crossed`, each state has each kind, in rows of their own level."""
    rng = np.random.default_rng(15)
    state, kind = rng.integers(0, 20, ROWS), rng.integers(0, 12, ROWS)
    level = rng.uniform(0, 9, (20, 12))[state, kind] if crossed else rng.uniform(0, 9, ROWS)
    if not crossed:
        keep = (state * 7 + kind * 5) % 3 == 0
        state, kind, level = state[keep], kind[keep], level[keep]
    rows = len(state)
    frame = pl.DataFrame(
        {
            "state": [f"S{one:02}" for one in state],
            "kind": [f"K{one:02}" for one in kind],
            "level": (level + rng.normal(size=rows) / 9).round(3),
            "other": (level + rng.normal(size=rows) / 9).round(3),
            "y": rng.normal(size=rows).round(3),
        }
    )
    return frame.sort("state", "kind")


@pytest.mark.parametrize(
    "frame",
    [
        storms(own=False).with_columns(pl.col("y").shuffle(seed=1)),
        storms().sample(fraction=1.0, shuffle=True, seed=3),
        storms("cost").with_columns(pl.col("cost").shuffle(seed=2)),
        sorted_by_two(crossed=True),
        sorted_by_two(crossed=False),
    ],
    ids=["nothing alike", "any order", "nothing beside", "each with each", "sorted by two"],
)
def test_names_in_runs_are_no_group_by_themselves(tmp_path: Path, frame: pl.DataFrame):
    """Whoever sorts a table by two columns makes runs of names; a plan of cells has alike rows in each."""
    assert "group" not in traps(written(tmp_path, frame))


def test_a_text_of_many_words_that_lies_in_blocks_is_a_group(tmp_path: Path):
    """A title names what its rows belong to, though the contract calls it a text."""
    title = [f"{one * 37 % 101} things that were said of it" for one in range(100) for _ in range(12)]
    frame = claims(title=title, part=lambda rng, y: rng.integers(0, 9, len(y)))
    says = (
        "contract:\n  columns:\n    title: {type: text}\n    size: {type: number}\n    age: {type: integer}\n"
    )
    found = hand_written(tmp_path, frame, f"label: {{column: y}}\n{says}")

    assert "group: title" == next(trap.line for trap in found.traps if trap.trap == "group")


@pytest.mark.parametrize(
    ("name", "values", "is_told"),
    [
        ("Year", (2000, 2020), True),
        ("yr_sold", (2000, 2020), True),
        ("YearBuilt", (2000, 2020), False),
        ("model_year", (2000, 2020), False),
        ("birth_year", (2000, 2020), False),
        ("Year", (1, 20), False),
        ("amount", (2000, 2020), False),
    ],
)
def test_a_year_is_proposed_as_the_time_and_not_taken(
    tmp_path: Path, name: str, values: tuple[int, int], is_told: bool
):
    """Rows in any order may have happened in years, and a year may be that of a house."""
    made = written(tmp_path, claims(**{name: lambda rng, y: rng.integers(*values, len(y))}))
    text = (tmp_path / "lines" / "a.yaml").read_text()

    assert None is made.time
    assert is_told == (f"\n  # time: {name}  # by its name, and its values from 2000 to 2019, " in text)


def monthly(month: Callable[[int], Any] = int) -> pl.DataFrame:
    """Give claims in any order of three years and twelve months."""
    return claims(
        Year=lambda rng, y: rng.integers(2009, 2012, len(y)),
        Month=lambda rng, y: [month(one) for one in rng.integers(1, 13, len(y))],
    )


@pytest.mark.parametrize(
    ("month", "date"),
    [
        (int, "make_date(Year, Month, 1)"),
        (
            lambda one: calendar.month_abbr[one],
            "strptime(Year || ' ' || Month, '%Y %b')::date",
        ),
        (
            lambda one: calendar.month_name[one],
            "strptime(Year || ' ' || Month, '%Y %B')::date",
        ),
    ],
    ids=["numbers", "names", "whole names"],
)
def test_a_year_and_a_month_are_asked_about_until_somebody_answers(
    tmp_path: Path, month: Callable[[int], Any], date: str
):
    """A model had an average precision of 0.92 at random and of 0.87 in the months that followed, and `new` printed nothing."""
    made = written(tmp_path, monthly(month))
    trap = traps(made)["time"]
    path = tmp_path / "lines" / "a.yaml"
    text = path.read_text()

    assert (("Year", "Month"), "table") == (trap.columns, trap.under)
    assert trap.line.startswith("sql: ")
    assert f" {date} as month_began " in trap.line
    assert trap.line.endswith("\ntime: month_began")
    assert "together they say when a row happened, in 36 different months" in trap.evidence
    assert trap.to_text() in made.to_text()
    assert trap in checked(tmp_path).traps

    assert "split: {test: 0.2}" in text
    path.write_text(text.replace("split: {test: 0.2}", "split: {by: random, test: 0.2}"))
    assert () == checked(tmp_path).traps
    path.write_text(text)
    add(tmp_path, trap)
    assert "time" not in traps(checked(tmp_path))
    with Factory.create(tmp_path) as factory:
        assert "month_began" == factory.line("a").table.time


@pytest.mark.parametrize(("year", "months"), [("built_year", 13), ("Year", 14)])
def test_a_year_of_something_else_and_a_month_are_no_time(tmp_path: Path, year: str, months: int):
    """The year of a house goes with no month of a sale, and a 13th month is a term in months."""
    frame = claims(
        **{year: lambda rng, y: rng.integers(2009, 2012, len(y))},
        Month=lambda rng, y: rng.integers(1, months, len(y)),
    )

    assert "time" not in traps(written(tmp_path, frame))


def visits(rows: int = 2_000) -> pl.DataFrame:
    """Give visits of people, most of whom came once, with what is their own."""
    rng = np.random.default_rng(6)
    people = rows * 3 // 4
    who = rng.permutation(np.concatenate([np.arange(people), rng.integers(0, people, rows - people)]))
    number = rng.choice(10**7, people, replace=False)
    return pl.DataFrame(
        {
            "ref": number[who],
            "sex": rng.choice(["f", "m"], people)[who],
            "street": rng.integers(0, 40, people)[who],
            "wait": rng.normal(size=rows).round(4),
            "y": rng.choice(["no", "yes"], rows),
        }
    )


@pytest.mark.parametrize("kind", ["number", "text"])
def test_very_many_values_that_repeat_now_and_then_are_a_group(tmp_path: Path, kind: str):
    """Most people came once, so half of the rows say nothing; those of the others are alike."""
    frame = visits()
    if kind == "text":
        frame = frame.with_columns(pl.format("R{}", "ref").alias("ref"))
    trap = traps(written(tmp_path, frame))["group"]

    assert (("ref",), "group: ref") == (trap.columns, trap.line)
    assert re.match(
        r"1,500 values in 2,000 rows, up to \d rows each, and rows of one are alike in sex, street: ",
        trap.evidence,
    )
    assert trap in checked(tmp_path).traps


def test_amounts_that_repeat_now_and_then_are_no_group(tmp_path: Path):
    """Rows of one price have nothing else in common."""
    frame = visits().with_columns(ref=pl.Series(np.random.default_rng(3).integers(0, 3_000, 2_000)))

    assert "group" not in traps(written(tmp_path, frame))


def in_order(name: str = "pan_day") -> pl.DataFrame:
    """Give claims that lie in the order of a running day."""
    return claims(**{name: lambda rng, y: np.sort(rng.integers(4, 108, len(y)))})


@pytest.mark.parametrize("name", ["pan_day", "week"])
def test_rows_in_the_order_of_a_number_are_asked_about(tmp_path: Path, name: str):
    """A model had an average precision of 0.61 on its certificate and of 0.18 in the weeks that followed."""
    made = written(tmp_path, in_order(name))
    trap = traps(made)["order"]
    text = (tmp_path / "lines" / "a.yaml").read_text()

    assert ("random", (name,), "table", f"time: {name}") == (made.split, trap.columns, trap.under, trap.line)
    assert "the rows lie in its order: from 4 to 107 it never falls" in trap.evidence
    assert f"(`new` with --time {name})" in trap.evidence
    assert f"\n  # time: {name}  # order: the rows lie in its order" in text
    assert "# no time" not in text
    assert trap in checked(tmp_path).traps

    add(tmp_path, trap)
    assert () == checked(tmp_path).traps
    with Factory.create(tmp_path) as factory:
        assert name == factory.line("a").table.time


@pytest.mark.parametrize(
    "others", [{}, {"claim": lambda _, y: [f"K{n}" for n in range(len(y))]}], ids=["alone", "a key"]
)
def test_a_day_of_each_row_is_asked_about_and_no_key(tmp_path: Path, others: dict[str, Make]):
    """It names its row only while each day has one, and a key cannot be the time."""
    made = written(tmp_path, claims(day=lambda _, y: np.arange(1, len(y) + 1), **others))
    trap = traps(made)["order"]

    assert ("claim" if others else None, "time: day") == (made.key, trap.line)
    add(tmp_path, trap)
    assert () == checked(tmp_path).traps
    assert "order" not in traps(new_line(tmp_path, "b", data=tmp_path / "a.csv", label="y", key="day"))


def test_who_says_how_rows_are_parted_is_not_asked_again(tmp_path: Path):
    """Sorted by size, say: a person knows, and `by` says so."""
    written(tmp_path, in_order())
    path = tmp_path / "lines" / "a.yaml"
    text = path.read_text()
    assert "split: {test: 0.2}" in text
    path.write_text(text.replace("split: {test: 0.2}", "split: {by: random, test: 0.2}"))

    assert () == checked(tmp_path).traps
    assert "order" not in traps(new_line(tmp_path, "b", data=tmp_path / "a.csv", label="y", time="pan_day"))


def test_an_order_that_no_name_calls_a_time_is_told_by_new_alone(tmp_path: Path):
    """Most tables have a number of their rows, and some are sorted by height; a doubt about each would not be read."""
    made = written(tmp_path, claims(height=lambda *_: in_order()["pan_day"]))
    text = (tmp_path / "lines" / "a.yaml").read_text()

    assert () == made.traps == checked(tmp_path).traps
    assert "# no time: no column holds dates; the rows lie in the order of height, see there" in text
    (remark,) = [one for one in made.findings if one.verdict != "strong"]
    assert ("height", "order", "") == (remark.column, remark.verdict, remark.line)
    assert remark.evidence.startswith("the rows lie in its order: from 4 to 107 it never falls")
    assert remark.evidence.endswith("if it grows with time, `new` with --time height tests on the latest")
    assert remark.evidence in text


def test_a_key_that_a_person_named_is_not_proposed_as_the_time(tmp_path: Path):
    """Who followed the advice was refused: one column has two parts."""
    frame = claims(pid=lambda rng, y: np.sort(rng.choice(10**6, len(y), replace=False)))
    told = [one.column for one in written(tmp_path, frame).findings if one.verdict == "order"]
    named = new_line(tmp_path, "b", data=tmp_path / "a.csv", label="y", key="pid")

    assert ["pid"] == told
    assert "pid" not in {one.column for one in named.findings}
    assert "--time pid" not in (tmp_path / "lines" / "b.yaml").read_text()


def test_a_number_of_the_rows_is_told_beside_the_missing_time(tmp_path: Path):
    """It may be the order in which they came in, and may be no more than the file's."""
    made = written(tmp_path, claims(claim_no=lambda _, y: np.arange(1, len(y) + 1)))

    assert ("claim_no", (), ["strong", "id"]) == (
        made.key,
        made.traps,
        [one.verdict for one in made.findings],
    )
    assert (
        "# no time: no column holds dates; claim_no numbers the rows in the order of the file: if they were numbered as they came in, "
        "`new` with --time claim_no tests on the latest"
    ) in (tmp_path / "lines" / "a.yaml").read_text()


def test_whoever_named_a_group_is_not_told_to_name_one(tmp_path: Path):
    """The advice was to name what such rows belong to, and it stood in the line above."""
    frame = copied(keyed=True).with_columns(
        who=pl.int_range(pl.len()) % 400,
        day=pl.int_range(pl.len()) % 97 + 1,
        note=pl.int_range(pl.len()) % 89,
    )
    for by, says in (
        ("time", "a split by time has rows of one who in both parts, as in real use"),
        ("group", "rows of different who are alike"),
    ):
        folder = tmp_path / by
        folder.mkdir()
        text = f"label: {{column: y}}\ntable: {{key: number, group: who, time: day, exclude: [note]}}\ntrain: {{split: {{by: {by}}}}}\n"
        trap = traps(hand_written(folder, frame, text))["repeats"]

        assert ("", says) == (trap.line, trap.evidence.partition("; drop the repeats")[2].strip("; :"))


def test_a_plan_warns_of_few_groups_as_check_does(tmp_path: Path):
    """Who plans and runs without a check would learn it from a run without a verdict."""
    frame = claims(who=lambda _, y: [f"p{i % 4}" for i in range(len(y))])
    for group, says in (("who", "who: only 4 groups"), ("age", None)):
        folder = tmp_path / group
        folder.mkdir()
        found = hand_written(folder, frame, f"label: {{column: y}}\ntable: {{group: {group}}}\n")
        with Factory.create(folder) as factory:
            planned = plan(factory, "a")
            again = plan(factory, "a")
        assert isinstance(planned, PlanResult)
        assert planned == again
        assert [one for one in found.doubts if "group" in one] == list(planned.doubts)
        assert (says is None) == (planned.doubts == ())
        if says:
            assert f"warn: {says}" in planned.to_text()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "label", "leaks", "told"),
    [
        ("ai4i_2020.csv", "Machine.failure", {"TWF", "HDF", "PWF", "OSF", "RNF"}, set()),
        ("adult_income.csv", "income", set(), set()),
        ("bearing_cwru_features.csv", "fault", set(), {"sorted"}),
        ("german_credit.csv", "class-label", set(), set()),
        ("house_prices_ames.csv", "SalePrice", set(), {"near constant", "time"}),
        ("telco_churn.csv", "Churn", set(), set()),
        ("wine_quality.csv", "quality", set(), {"few rows"}),
    ],
)
def test_real_tables_raise_the_doubts_that_they_deserve(
    tmp_path: Path, file: str, label: str, leaks: set[str], told: set[str]
):
    """Published data: what `new` keeps from the model is no doubt of `check`, and nothing honest is."""
    data = Path(__file__).parents[2].parent / "shared" / "data" / file
    if not data.exists():
        pytest.skip("needs the data in ../shared/data")

    made = new_line(tmp_path, "a", data=data, label=label)

    assert leaks == {remark.column for remark in made.findings if remark.verdict == "leak"}
    assert told == {trap.trap for trap in checked(tmp_path).traps}
    assert told - {"near constant"} == traps(made).keys()


@pytest.mark.slow
def test_a_check_of_many_rows_is_quick_and_says_that_it_saw_a_sample(tmp_path: Path):
    """A quarter of a million rows, half of them copies: a person waits for this."""
    frame = claims(130_000, outcome=lambda _, y: np.where(y == "yes", "paid", "open"))
    frame = pl.concat([frame, frame]).with_columns(number=pl.int_range(260_000))
    began = time.perf_counter()
    found = hand_written(tmp_path, frame, "label: {column: y}\ntable: {key: number}\n")

    assert time.perf_counter() - began < 30
    assert "of a sample of " in traps(found)["repeats"].evidence
    assert "(seen in a sample of 50,000 of 260,000 rows)" in traps(found)["leak"].evidence
    assert found == checked(tmp_path)


def few(yes: int, label: str = "y") -> pl.DataFrame:
    return claims(rows=30).with_columns(pl.Series(label, ["yes" if i < yes else "no" for i in range(30)]))


@pytest.mark.parametrize("yes", [1, 15], ids=["one", "half"])
def test_check_foresees_a_part_that_would_stop_a_run(tmp_path: Path, yes: int):
    """A file was called right, and its run ended because the one row of a class cannot be in both parts."""
    written(tmp_path, few(yes))
    told = [
        trap.evidence for trap in checked(tmp_path).traps if "as the rows are parted now" in trap.evidence
    ]

    assert (yes == 1) == bool(told)
    if told:
        assert " part holds 'no' only (" in told[0]
        assert "choose split.by: random" not in told[0]


def halves(**columns: Any) -> pl.DataFrame:
    """Give rows of which none repeats another, with a key, and a label whose two classes have hundreds each."""
    return claims().with_columns(pl.Series("k", range(ROWS)), **columns)


DAYS = [
    f"20{year:02}-{month:02}-{day:02}"
    for year in range(10, 22)
    for month in range(1, 11)
    for day in range(1, 11)
]
ENDED = pl.Series(["yes"] * 300 + ["no"] * (ROWS - 300))


@pytest.mark.parametrize(
    ("frame", "text", "says"),
    [
        (halves(), "table: {key: k}\ntrain: {split: {test: 0.001}}\n", "the test part "),
        (halves(), "table: {key: k}\ntrain: {split: {test: 0.9999}}\n", "the training part "),
        (
            halves(t=pl.Series(DAYS), y=ENDED),
            "table: {key: k, time: t}\n",
            "the test part holds 'no' only (240 rows)",
        ),
        (halves(t=pl.lit("2020-01-01")), "table: {key: k, time: t}\n", "so time cannot part them"),
    ],
    ids=["hardly any test rows", "hardly any training rows", "a class that ended", "one time"],
)
def test_check_foresees_what_ends_a_run_however_many_rows_there_are(
    tmp_path: Path, frame: pl.DataFrame, text: str, says: str
):
    """A file was called right and its run ended: each class had hundreds of rows, and two test rows had one class."""
    label = "label: {column: y, positive: 'yes'}\n"
    found = hand_written(tmp_path, frame, f"{label}{text}")
    told = [trap.evidence for trap in found.traps if trap.trap == "few rows"]
    with Factory.create(tmp_path) as factory, pytest.raises(LinewrightError) as stopped:
        execute_inline(factory, "a")

    assert 1 == len(told)
    assert says in told[0]
    assert "a run would stop" in told[0]
    assert says.partition(" holds ")[0] in stopped.value.what
