"""Frames in place of files: a notebook does with a DataFrame what the command line does with a file, to the bit."""

import asyncio
import datetime as dt
import importlib.util
import logging
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from linewright import Factory
from linewright.engine.context import Progress
from linewright.errors import Conflict, RequestError
from linewright.interfaces.python.notebook import NotebookProgress, to_html

ROWS = 240


def table() -> pl.DataFrame:
    """Make rows of each type that a frame has and a file of text has not."""
    chance = np.random.default_rng(3)
    size, colour = chance.normal(size=ROWS), chance.choice(["red", "blue", "<b>"], ROWS)
    return pl.DataFrame(
        {
            "number": [f"n-{i:03}" for i in range(ROWS)],
            "size": size,
            "colour": pl.Series(colour, dtype=pl.Categorical),
            "seen": [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(ROWS)],
            "ok": [i % 3 == 0 for i in range(ROWS)],
            "bought": np.where(size + (colour == "red") + chance.normal(size=ROWS) / 3 > 0.5, "yes", "no"),
        }
    )


class Stream:
    """A frame of a library that nobody here knows: all that it gives is Arrow's stream, as pandas does too."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a line of a frame, and train it."""
    root = tmp_path_factory.mktemp("frames") / "factory"
    with Factory.create(root) as factory:
        new = factory.new("shop", data=table(), label="bought", key="number")
        file = root / "lines" / "shop.yaml"
        file.write_text(file.read_text().replace("budget: normal", "budget: {trials: 1}"))
        yield factory, new, factory.run("shop")


def pandas_of(frame: pl.DataFrame):
    if importlib.util.find_spec("pandas") is None:
        pytest.skip("pandas is not installed here")
    return frame.to_pandas().set_index(np.arange(len(frame)) * 7)


def test_a_line_is_made_of_a_frame_that_becomes_a_file_of_the_factory(made):
    """A folder copied is a factory copied, so that the rows must be in it."""
    factory, new, ran = made
    kept = factory.root / "data" / "shop.parquet"

    assert table().equals(pl.read_parquet(kept).cast({"colour": pl.Categorical}))
    assert 'file: "data/shop.parquet"' in Path(new.path).read_text()
    assert ran.promoted


@pytest.mark.parametrize("like", [pl.DataFrame, Stream, pandas_of], ids=["polars", "arrow", "pandas"])
def test_a_frame_gets_the_answers_of_a_file(made, tmp_path, like):
    """Whoever holds a frame writes no file first, and gets a frame back; rows that break the contract stand in one too."""
    factory, *_ = made
    asked = table().drop("bought").head(50)
    asked.write_parquet(tmp_path / "ask.parquet")
    of_file = factory.predict("shop", tmp_path / "ask.parquet", out=tmp_path / "out.parquet")
    broken = asked.with_columns(seen=pl.col("seen").cast(pl.String), size=pl.col("size").cast(pl.String))
    broken = broken.with_columns(size=pl.when(pl.int_range(50) == 7).then(pl.lit("many")).otherwise("size"))
    before = {path.name for path in factory.root.iterdir()}
    of_frame = factory.predict("shop", like(asked))
    of_broken = factory.predict("shop", like(broken))
    frames = [
        one if isinstance(one, pl.DataFrame) else pl.from_pandas(one)
        for one in (of_frame.frame, of_broken.frame, of_broken.broken)
    ]

    assert (50, 0, "", None) == (of_frame.rows, of_frame.quarantined, of_frame.out, of_frame.broken)
    assert type(of_frame.frame).__module__.startswith("pandas" if like is pandas_of else "polars")
    expected = pl.read_parquet(of_file.out).drop("id")
    assert expected.equals(frames[0].drop("id"), null_equal=True)
    assert expected.filter(pl.int_range(50) != 7)["probabilities_yes"].equals(frames[1]["probabilities_yes"])
    assert [(8, "column 'size': not number: 'many'")] == frames[2].select("row", "reason").rows()
    assert ("the frame: row 8: column 'size': not number: 'many'",) == of_broken.reasons
    assert before == {path.name for path in factory.root.iterdir()}


@pytest.mark.parametrize("like", [pl.DataFrame, pandas_of], ids=["polars", "pandas"])
def test_the_truth_is_handed_in_as_a_frame(made, like):
    """And a label that is none is named by its row, not by a file that nobody has written."""
    factory, *_ = made
    answers = factory.predict("shop", table().drop("bought").head(9)).frame
    truth = answers.select("id", label=pl.lit("yes"))

    assert (9, 0) == (
        factory.feedback("shop", like(truth)).accepted,
        factory.feedback("shop", like(truth)).accepted,
    )
    with pytest.raises(RequestError, match=r"^the frame: row 1") as caught:
        factory.feedback("shop", like(truth.with_columns(label=pl.lit("perhaps"))))
    assert "linewright-" not in str(caught.value)


def test_a_frame_that_makes_no_line_leaves_nothing(tmp_path):
    """And one is never written over a file that is here."""
    with Factory.create(tmp_path) as factory:
        for name, frame, says in (
            ("shop", table().drop("bought"), "bought"),
            ("../shop", table(), "name of a line"),
            (
                "shop",
                table().with_columns(pl.Series("odd", [object()] * ROWS, dtype=pl.Object)),
                "cannot be read",
            ),
        ):
            with pytest.raises(RequestError, match=says):
                factory.new(name, data=frame, label="bought")
        assert not (tmp_path / "data").exists()
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "shop.parquet").write_bytes(b"mine")
        with pytest.raises(Conflict, match="never written over"):
            factory.new("shop", data=table(), label="bought")
        with pytest.raises(RequestError, match="a frame is not taken here"):
            factory.restore(table())

    assert b"mine" == (tmp_path / "data" / "shop.parquet").read_bytes()
    assert [] == list((tmp_path / "lines").iterdir())


# What a notebook shows


def test_results_show_themselves_as_html(made):
    """Tables, the leaderboard and the card; no text of a user's becomes a tag, and the card's style stays in its frame."""
    factory, new, ran = made
    shown = {
        "run": ran,
        "new": new,
        "models": factory.models("shop"),
        "runs": factory.runs("shop"),
        "card": factory.card("shop"),
        "status": factory.status(),
        "predict": factory.predict("shop", table().drop("bought").head(3)),
        "plan": factory.plan("shop"),
    }
    told = {name: one._repr_html_() for name, one in shown.items()}

    assert all(f"<td>{one.name}</td>" in told["run"] for one in (*ran.trials, *ran.metrics))
    assert ran.candidate in told["run"]
    assert "<table>" in told["models"]
    assert "<td>champion</td>" in told["models"]
    assert "<table>" in told["runs"]
    assert told["card"].startswith("<iframe srcdoc=")
    assert "<style" not in told["card"]
    assert factory.card("shop", html=True).html.partition("\n")[0].replace("<", "&lt;") in told[
        "card"
    ].replace("&gt;", ">")
    assert "shop@1" in told["status"]
    assert "probabilities_yes" in told["predict"]
    assert not any("<b>" in text for text in told.values())
    assert factory.card("shop").html is None


def test_long_calls_show_how_far_they_are_and_leave_no_trace():
    """A cell that says nothing for ten minutes is interrupted."""
    outputs: list[list[dict]] = []

    class Handle:
        def __init__(self, shown: list[dict]) -> None:
            self.shown = shown

        def update(self, bundle: dict, *, raw: bool) -> None:
            assert raw
            self.shown.append(bundle)

    def display(bundle: dict, *, raw: bool, display_id: bool = False) -> Handle | None:
        assert raw
        outputs.append([bundle])
        return Handle(outputs[-1]) if display_id else None

    report = NotebookProgress(display)
    for done in range(1000):
        report(Progress(step="train", says="fitting <x>", done=done, of=1000, seconds_left=12.0))
    report(Progress(step="up", says="an address", stays=True))
    report.clear()
    report(Progress(step="gate", says="asking"))

    drawn, kept, again = outputs
    assert "train  0 of 1,000  about 12 s left  fitting <x>" == drawn[0]["text/plain"]
    assert '<progress value="0" max="1000"></progress>' in drawn[0]["text/html"]
    assert "fitting &lt;x&gt;" in drawn[0]["text/html"]
    assert len(drawn) < 100
    assert {"text/plain": "", "text/html": ""} == drawn[-1]
    assert ["up  an address"] == [one["text/plain"] for one in kept]
    assert ["gate  asking"] == [one["text/plain"] for one in again]


def test_a_run_in_a_notebook_warns_of_no_loop(made):
    """A kernel runs an event loop, which waits for the cell; nobody who reads a notebook can do anything about that."""
    factory, *_ = made
    told: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: told.append(record.getMessage())
    logging.getLogger("dbos").addHandler(listener)

    async def cell():
        return factory.run("shop")

    try:
        assert asyncio.run(cell()).promoted
    finally:
        logging.getLogger("dbos").removeHandler(listener)
    assert [] == told


def test_a_long_table_is_cut_and_a_struct_that_says_nothing_is_listed():
    """A page of thousands of rows stops a browser."""

    class Row(msgspec.Struct):
        name: str
        share: float | None

    class All(msgspec.Struct):
        line: str
        rows: tuple[Row, ...]

    told = to_html(All("a&b", tuple(Row(f"r{i}", None if i else 0.123456) for i in range(99))))

    assert "<th>line</th><td>a&amp;b</td>" in told
    assert "<td>r0</td><td>0.1235</td>" in told
    assert "<td>r49</td><td></td>" in told
    assert "<td>r50</td>" not in told
    assert "and 49 more" in told
