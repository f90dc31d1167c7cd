"""The contract of a source, shipped for those who write another kind of source."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from linewright.data.read.cursor import rows_since
from linewright.data.read.file.paths import files_of
from linewright.data.read.reader import Cursor, column_names, fingerprint, read_live
from linewright.data.read.source import open_source
from linewright.data.spec import DataSpec, SourceSpec, source_specs
from linewright.errors import RequestError, SpecError
from linewright.line.file.read import parse_line
from linewright.spec import first_required

Texts = Mapping[str, Sequence[str | None]]
Write = Callable[[Path, Texts], SourceSpec]
"""Puts these texts, by column, into a folder in place of what a call before put there, and gives the source with them; all that it
names lies in the folder, and is named from there."""

ROWS: Texts = {
    "id": [f"K{number}" for number in range(300)],
    "colour": ["red", " blue ", None, "grün", "7.50", "2024-05-01"] * 50,
}
_SMALL = 256


class SourceContract:
    """What every kind of source must do. Subclass it, and supply the fixture `write`, a `Write`."""

    names_columns: ClassVar[bool] = True
    """Whether a source without rows has columns."""
    is_one_part: ClassVar[bool] = True
    """Whether the rows lie in one file or query; of several, each counts its own lines and gives its own batches."""

    def test_its_rows_are_those_that_were_written(self, write: Write, tmp_path: Path) -> None:
        """In their order, without the blanks around them, a missing text as null; nothing is parsed yet."""
        source = open_source("s", write(tmp_path, ROWS), tmp_path)
        read = pl.concat(batch.frame for batch in source.batches())

        assert ("id", "colour") == source.columns == tuple(read.columns)
        assert list(ROWS["id"]) == read["id"].to_list()
        assert [text and text.strip() for text in ROWS["colour"]] == read["colour"].to_list()

    def test_it_can_be_read_again_in_batches_of_any_size(self, write: Write, tmp_path: Path) -> None:
        """A table larger than memory is read several times; a row that moved would be another row."""
        spec = write(tmp_path, ROWS)
        source = open_source("s", spec, tmp_path, size=_SMALL)
        first, second = ([batch.frame for batch in source.batches()] for _ in range(2))
        at_once = pl.concat(batch.frame for batch in open_source("s", spec, tmp_path).batches())

        assert pl.concat(first).equals(pl.concat(second))
        assert pl.concat(first).equals(at_once)
        assert {tuple(at_once.schema.items())} == {tuple(frame.schema.items()) for frame in first}

    def test_each_row_has_its_line_or_none_has(self, write: Write, tmp_path: Path) -> None:
        """A quarantined row is looked up by its line; a wrong one is worse than none."""
        source = open_source("s", write(tmp_path, ROWS), tmp_path, size=_SMALL)
        rows = range(len(ROWS["id"]))
        lines = source.lines(rows)

        assert len(rows) == len(lines)
        assert None not in lines or {None} == set(lines)
        assert None in lines or len(rows) == len(set(zip(source.files(rows), lines, strict=True)))

    def test_a_source_without_rows_gives_an_empty_batch(self, write: Write, tmp_path: Path) -> None:
        """The first day of a table is not an error of the source."""
        if not self.names_columns:
            pytest.skip("its rows name its columns")
        source = open_source("s", write(tmp_path, {"id": [], "colour": []}), tmp_path)

        batches = [(batch.frame.height, tuple(batch.frame.columns)) for batch in source.batches()]

        assert {(0, ("id", "colour"))} == set(batches)
        assert len(batches) == 1 or not self.is_one_part

    def test_its_fingerprint_is_of_what_it_holds_wherever_it_lies(self, write: Write, tmp_path: Path) -> None:
        """A copied folder must not cause a training."""
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        spec = write(here, ROWS)
        shutil.copytree(here, there)

        assert fingerprint(spec, here, "sources.s") == fingerprint(spec, there, "sources.s")

    def test_one_that_others_write_to_is_read_with_its_fingerprint(
        self, write: Write, tmp_path: Path
    ) -> None:
        """A run names what it read, and by the time of a second look that may be something else."""
        spec = write(tmp_path, ROWS)
        if not spec.is_live:
            pytest.skip("a second look sees the same")
        source, seen = read_live("s", spec, tmp_path)

        assert fingerprint(spec, tmp_path, "sources.s") == seen
        assert list(ROWS["id"]) == [key for batch in source.batches() for key in batch.frame["id"]]

    def test_its_fingerprint_moves_with_every_value(self, write: Write, tmp_path: Path) -> None:
        """A run whose inputs did not move does nothing, so a change that it missed would be lost."""
        other = {**ROWS, "colour": [*ROWS["colour"][:-1], "black"]}
        turned = {name: list(reversed(texts)) for name, texts in ROWS.items()}
        prints = [
            fingerprint(write(tmp_path, table), tmp_path, "sources.s")
            for table in (ROWS, other, turned, ROWS)
        ]

        assert prints[0] == prints[3]
        assert len(set(prints)) == 3

    def test_rows_since_a_cursor_are_those_at_it_and_after_it(self, write: Write, tmp_path: Path) -> None:
        """A row at the cursor's edge that was lost would never be read; one that is given twice is known by its key."""
        many = len(ROWS["id"])
        days = [f"2024-05-{1 + day // 10:02}" for day in range(many)]
        numbers = [str(number) for number in range(many)]
        spec = write(
            tmp_path, {"n": numbers, "day": [f" {day}" if day < "2024-05-09" else day for day in days]}
        )

        def since(column: str, value: float | str) -> list[str]:
            cursor = Cursor(column=column, value=value)
            return [
                str(n) for rows in rows_since("s", spec, tmp_path, cursor, size=_SMALL) for n in rows["n"]
            ]

        for day in ("", "2024-05-01", "2024-05-05", "2024-05-30", "2024-06-01"):
            assert [n for n, at in zip(numbers, days, strict=True) if at >= day] == since("day", day)
        with pytest.raises(RequestError, match=r"no such column.*did you mean 'day'"):
            since("days", "2024-05-05")
        with pytest.raises(RequestError, match="would never be read"):
            since("day", 5)
        spec = write(tmp_path, {"n": numbers, "day": [*days[:-1], None]})
        with pytest.raises(RequestError, match="would never be read"):
            since("day", "2024-05-05")

    def test_limits_are_no_part_of_its_fingerprint(self, write: Write, tmp_path: Path) -> None:
        """What could be read before is read the same under a higher limit."""
        spec = write(tmp_path, ROWS)
        limits = getattr(spec, "limits", None)
        if limits is None:
            pytest.skip("it has no limits")
        wider = spec.model_copy(update={"limits": limits.model_copy(update={"rows": 10 * limits.rows})})

        assert fingerprint(spec, tmp_path, "sources.s") == fingerprint(wider, tmp_path, "sources.s")

    def test_a_copy_of_its_local_files_is_a_copy_of_it(self, write: Write, tmp_path: Path) -> None:
        """A backup copies these files and no others."""
        here, there = tmp_path / "here", tmp_path / "there"
        for folder in (here, there):
            folder.mkdir()
        spec = write(here, ROWS)
        for written in spec.local_files:
            for file in files_of(written, here, "sources.s"):
                copy = there / file.relative_to(here)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)

        assert fingerprint(spec, here, "sources.s") == fingerprint(spec, there, "sources.s")

    def test_one_whose_files_are_gone_is_named_by_its_place(self, write: Write, tmp_path: Path) -> None:
        """The error leads to the line of the file that has to be corrected."""
        spec = write(tmp_path, ROWS)
        if not spec.local_files:
            pytest.skip("it has no files")
        gone = tmp_path / "gone"
        gone.mkdir()

        with pytest.raises(RequestError) as opened:
            open_source("s", spec, gone)
        with pytest.raises(RequestError) as printed:
            fingerprint(spec, gone, "sources.s")

        assert opened.value.where.startswith("sources.s")
        assert printed.value.where.startswith("sources.s")

    def test_all_of_its_names_are_known_or_none(self, write: Write, tmp_path: Path) -> None:
        """A plan says which columns are new; half of the names would say that the others are gone."""
        names = column_names("s", write(tmp_path, ROWS), tmp_path)

        assert names in {(), ("id", "colour")}

    def test_a_column_that_stands_for_others_is_refused(self, write: Write, tmp_path: Path) -> None:
        """To the libraries below, such a name is a pattern."""
        spec = write(tmp_path, {"id": ["1"], "^.*$": ["2"]})

        with pytest.raises(SpecError, match="stands for other columns"):
            open_source("s", spec, tmp_path)

    def test_a_line_file_says_it(self, write: Write, tmp_path: Path) -> None:
        """What is kept of a line file is read again years later, and is the same source."""
        spec = write(tmp_path, ROWS)
        said = {
            "line": "a",
            "sources": {"s": spec.model_dump(mode="json", exclude_defaults=True)},
            "label": {"column": "colour"},
        }
        parsed = parse_line(json.dumps(said), name="a.yaml")
        kept = DataSpec(sources=parsed.sources, label=parsed.label).model_dump(mode="json")

        assert spec == parsed.sources["s"]
        assert spec == DataSpec.model_validate(kept).sources["s"]

    def test_it_is_a_kind_of_the_table(self, write: Write, tmp_path: Path) -> None:
        """Its word is in no other kind, so that a mapping with it is this kind."""
        spec = write(tmp_path, ROWS)
        word = first_required(type(spec))
        kinds = source_specs((word,))

        assert type(spec) in kinds
        assert [type(spec)] == [kind for kind in kinds if word in kind.model_fields]

    def test_it_says_what_is_read_on_one_line(self, write: Write, tmp_path: Path) -> None:
        """A plan lists it, and a line file has no secrets but by their names."""
        says = write(tmp_path, ROWS).describe()

        assert says.isprintable()
        assert 0 < len(says) <= 200

    def test_texts_that_mean_no_value_can_be_said_where_it_has_an_option(
        self, write: Write, tmp_path: Path
    ) -> None:
        """What is offered to a person as an option is one."""
        spec = write(tmp_path, ROWS).with_missing(("", "red"))
        if spec is None:
            pytest.skip("it has no option for them")
        source = open_source("s", spec, tmp_path)

        assert ("", "red") == spec.missing_texts == source.missing
        assert not any((batch.frame["colour"] == "red").any() for batch in source.batches())
