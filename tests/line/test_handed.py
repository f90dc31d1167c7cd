"""Files that a person hands in: for answers, and with the truth about them."""

import polars as pl
import pytest

from linewright.capabilities.predictions.operations import feedback, predict
from linewright.errors import RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.runs.execute import execute_inline


@pytest.fixture(scope="module")
def line(tumours_once):
    """Give a factory whose line ``tumours`` serves, and its table without the label; a radius is always known."""
    factory = tumours_once
    file = factory.root / "lines" / "tumours.yaml"
    drafted = next(one for one in file.read_text().splitlines() if "mean_radius: {" in one)
    file.write_text(file.read_text().replace(drafted, drafted.replace("nullable: warn", "nullable: false")))
    assert execute_inline(factory, "tumours").promoted
    return factory


def asked(factory, **changes):
    """Write the first 20 rows of the table, some columns changed, and return the file."""
    table = pl.read_csv(factory.root / "cancer.csv", infer_schema=False).drop("diagnosis").head(20)
    file = factory.root / "ask.csv"
    table.with_columns(**changes).write_csv(file)
    return file


def at(*rows, text="?"):
    """Write a text into some rows of the column of radii."""
    number = pl.int_range(pl.len())
    return pl.when(number.is_in(rows)).then(pl.lit(text)).otherwise(pl.col("mean_radius"))


def test_batch_answers_say_what_is_doubtful_beside_each_row(line):
    """What the endpoint says of a row, a file says too: it is the same row."""
    file = asked(line, mean_radius=at(2, text="9999"), mean_area=at(2, text="99999"))
    predict(line, "tumours", file, out=line.root / "answers.csv")
    answers = pl.read_csv(line.root / "answers.csv", infer_schema=False)

    assert "warnings" == answers.columns[-1]
    first, second = answers["warnings"][2].split("; ")
    assert first.startswith("mean_radius: 9999.0 is above what the contract allows")
    assert second.startswith("mean_area: 99999.0 is above")
    assert [None] * 17 == answers["warnings"][3:].to_list()


def test_all_bad_rows_of_a_file_are_counted_and_the_first_five_named(line):
    """Mending one to be told of the next is a waste of a morning."""
    file = asked(line, mean_radius=at(1, 3, 4, 6, 7, 9), mean_area=at(4, 19))
    with pytest.raises(RequestError) as caught:
        predict(line, "tumours", file, strict=True)

    assert (
        "not number; 7 rows have such cells: line 3, line 5, line 6, line 8, line 9 and 2 more"
        == caught.value.what
    )
    assert f"{file}: line 3, column 'mean_radius'" == caught.value.where
    assert "mend the rows, or take them out; nothing was answered" == caught.value.hint
    assert not file.with_name("ask.tumours.csv").exists()


def test_rows_with_other_faults_are_not_said_to_have_the_first_one(line):
    """Whoever looks for the missing value in line 6 finds none."""
    file = asked(line, mean_radius=at(1, text=""), mean_area=at(4))
    with pytest.raises(RequestError) as caught:
        predict(line, "tumours", file, strict=True)

    assert (
        "a value is missing; 2 rows have wrong cells (a value is missing; not number): line 3, line 6"
        == caught.value.what
    )


def test_one_bad_row_says_what_to_do(line):
    with pytest.raises(
        RequestError, match=r"line 3, column 'mean_radius': not number: found '\?'.*Next: mend the row"
    ):
        predict(line, "tumours", asked(line, mean_radius=at(1)), strict=True)


def test_a_column_that_is_not_known_says_what_to_do(line):
    with pytest.raises(RequestError, match=r"found 'zip'.*Next: take them out of the file; .*table\.exclude"):
        predict(line, "tumours", asked(line, zip=pl.lit("1")))


def test_a_misspelt_header_is_told_with_the_column_that_is_lacking(line):
    """One mistake has two faces; told apart, a person mends the wrong one."""
    file = asked(line)
    file.write_text(file.read_text().replace("mean_radius", "Mean_Radius", 1))
    with pytest.raises(RequestError) as caught:
        predict(line, "tumours", file)

    assert "the file has columns that the line does not know, and lacks 'mean_radius'" == caught.value.what
    assert "did you mean 'mean_radius'?" == caught.value.hint


def test_a_broken_line_file_stops_no_answers_and_no_labels(line):
    """The endpoint answers on, and so does a file: the model was accepted with a sound one."""
    path = line.path_of("tumours")
    sound = path.read_text()
    file = asked(line)
    before = predict(line, "tumours", file, out=line.root / "before.csv")
    path.write_text(sound + "oops: 1\n")
    try:
        answered = predict(line, "tumours", file, out=line.root / "after.csv")
        truth = line.root / "truth.csv"
        truth.write_text("sample,diagnosis\nS0003,malignant\n")
        said = feedback(line, "tumours", truth)
    finally:
        path.write_text(sound)

    assert "" == before.note
    assert "unknown word" in answered.note
    assert f"\nnote: the line file is broken ({path}:" in result_text(answered)
    assert "read with the options of the line file that was accepted at" in result_text(said)
    assert 1 == said.accepted
    columns = ["sample", "prediction"]
    assert pl.read_csv(line.root / "before.csv")[columns].equals(
        pl.read_csv(line.root / "after.csv")[columns]
    )


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_file_of_another_separator_is_read_with_it_and_says_so(line, separator):
    """A spreadsheet of another country writes `;`: nobody learns from a missing column `key;label` what is wrong."""
    file = asked(line)
    predict(line, "tumours", file, out=line.root / "answers.csv")
    ids = pl.read_csv(line.root / "answers.csv", infer_schema=False)["id"]
    truth = line.root / "truth.csv"
    pl.DataFrame({"id": ids, "label": ["malignant"] * len(ids)}).write_csv(truth, separator=separator)
    pl.read_csv(file, infer_schema=False).write_csv(file, separator=separator)

    came = feedback(line, "tumours", truth)
    answered = predict(line, "tumours", file, out=line.root / "again.csv")

    assert (20, 0) == (came.accepted + came.repeated, came.unknown)
    for note in (came.note, answered.note):
        assert f"was read with the separator {separator!r}" in note
