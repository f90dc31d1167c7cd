"""Words of a free text that tell a class: asked about with their figures, and ordinary texts are left alone."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from linewright.data.leakage import text_terms as words
from linewright.data.leakage.text_terms import telling_words
from linewright.data.profile.association import Truth
from linewright.data.quality.report import Verdict, look

ROWS = 3_000
VOCABULARY = np.array(["".join(chr(97 + int(digit)) for digit in f"{n:04d}") for n in range(1_500)])
BIRDS = ("none", "aborted take-off", "engine shut down")


def prose(codes: np.ndarray, *, dialect: float = 1.0, seed: int = 0) -> list[str]:
    """Write nine words a row, frequent and rare as in a language; each class has a dialect, words up to so many times as often."""
    rng = np.random.default_rng(seed)
    said = np.empty((len(codes), 9), dtype=object)
    for code in np.unique(codes):
        often = np.exp(rng.uniform(0, np.log(dialect), len(VOCABULARY))) / np.arange(1, len(VOCABULARY) + 1)
        said[codes == code] = rng.choice(VOCABULARY, size=((codes == code).sum(), 9), p=often / often.sum())
    return [" ".join(row) for row in said]


def truth(codes: np.ndarray) -> Truth:
    many = int(codes.max()) + 1
    form: Any = "two" if many == 2 else "classes"
    return Truth(form=form, codes=codes, ranks=np.zeros(len(codes)), classes=tuple(map(str, range(many))))


def birds(rows: int = ROWS) -> pl.DataFrame:
    """Give reports of which one in 40 says that the take-off was aborted, or one in 100 that an engine was shut down; both are mostly true."""
    rng = np.random.default_rng(4)
    codes = rng.choice(3, rows, p=[0.95, 0.03, 0.02])
    said = rng.random(rows)
    tail = np.where((codes == 1) & (said < 0.7), ", Abtd", "")
    tail = np.where((codes == 2) & (said < 0.6), " ENGINE shut DOWN.", tail)
    tail = np.where((codes == 0) & (said < 0.003), " not abtd", tail)
    return pl.DataFrame(
        {
            "speed": rng.normal(size=rows).round(3),
            "remarks": [f"{text}{end}" for text, end in zip(prose(codes), tail, strict=True)],
            "effect": np.array(BIRDS)[codes],
        }
    ).cast(pl.String)


def asked(frame: pl.DataFrame, column: str = "remarks", **options: Any) -> list[Verdict]:
    found = look(frame, label="effect", **options).column(column).verdicts
    return [verdict for verdict in found if verdict.verdict == "strong"]


def test_words_of_a_report_that_tell_what_came_of_it_are_asked_about():
    """Of 98 remarks with 'aborted' 83 told of an aborted take-off, and all that was said of them was: free text."""
    frame = birds()

    (question,) = asked(frame)

    has, effect = frame["remarks"].str.contains("(?i)abtd"), frame["effect"]
    share = 100 * (effect.filter(has) == BIRDS[1]).mean()
    elsewhere = 100 * (effect.filter(~has) == BIRDS[1]).mean()
    assert not question.exclude
    assert (
        f"of the {has.sum()} rows with 'abtd' in it {share:.1f} % are 'aborted take-off' ({elsewhere:.1f} % of the other rows)"
        in (question.evidence)
    )
    assert "'engine shut down'" in question.evidence
    assert "more tell as much: was it written before that was known?" in question.evidence


@pytest.mark.parametrize("beside", [[], ["lang", "source"]])
def test_a_text_that_is_all_there_is_asks_nothing(beside: list[str]):
    """Whether a message is spam its words say, and no report of it was written later."""
    frame = birds().with_columns(lang=pl.Series(["en"] * (ROWS - 5) + ["fr"] * 5), source=pl.lit("mail"))

    assert [] == asked(frame.select("remarks", *beside, "effect"))
    assert [] == asked(frame.select("remarks", "speed", "effect"), exclude=["speed"])


def test_a_second_text_is_a_feature_beside_it():
    """What was written when a case was closed stands beside what was written when it came."""
    frame = birds().drop("speed").with_columns(notes=pl.Series(prose(np.zeros(ROWS), seed=9)))

    assert 1 == len(asked(frame))
    assert [] == asked(frame, "notes")


@pytest.mark.parametrize("dialect", [1.0, 4.0])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.97, 0.03], [0.7, 0.2, 0.06, 0.03, 0.01], [0.05] * 20])
def test_ordinary_texts_are_left_alone(shares: list[float], dialect: float):
    """Some of thousands of words look good by chance, and words that a class merely prefers are no report."""
    for seed in range(5):
        codes = np.random.default_rng(seed).choice(len(shares), 4_000, p=shares)

        assert "" == telling_words(truth(codes), pl.Series(prose(codes, dialect=dialect, seed=seed)))


def test_chance_is_ruled_out_for_all_words_together():
    """A word that is right in 10 of 20 rows, where 5 % are of its class, says something; the best of 1,500 for 20 classes does not."""
    codes = np.where(np.arange(1_000) < 52, 19, np.arange(1_000) % 19)
    few = pl.Series([""] * 1_000).scatter([*range(10), *range(500, 510)], "word")
    filler = [" ".join(VOCABULARY[n % 10 * 150 : n % 10 * 150 + 150]) for n in range(1_000)]

    assert "'word'" in telling_words(truth(codes), few)
    assert "" == telling_words(truth(codes), few + " " + pl.Series(filler))


@pytest.mark.parametrize(("hits", "is_told"), [(120, True), (112, False)])
def test_of_a_class_that_is_not_rare_all_but_a_few_rows_are_wanted(hits: int, is_told: bool):
    """Of two classes that are equally frequent honest words reach 93 %: of the reviews with 'worst' in them, say."""
    codes = np.arange(2_000) % 2
    rows = [*np.flatnonzero(codes == 1)[:hits], *np.flatnonzero(codes == 0)[: 120 - hits]]
    text = pl.Series(prose(codes)).scatter(rows, "refund")

    assert is_told == (
        "of the 120 rows with 'refund' in it 100 % are '1'" in telling_words(truth(codes), text)
    )


def test_a_word_of_few_groups_counts_for_nothing():
    """The name of a patient stands in all her rows, and these have one truth."""
    codes = (np.arange(2_000) < 40).astype(np.int64)
    text = pl.Series(prose(codes)).scatter(range(40), "visit of Martha")

    assert "'martha'" in telling_words(truth(codes), text)
    assert "" == telling_words(truth(codes), text, pl.Series(np.arange(2_000) // 10))


def test_numbers_and_few_rows_ask_nothing_of_words():
    """Only a class can be told by a word, and only by one that comes often enough."""
    assert "" == telling_words(truth(np.arange(60) % 2), pl.Series(["word", None] * 9 + ["1"] * 42))
    numbers = Truth(form="number", codes=np.zeros(100, np.int64), ranks=np.linspace(0, 1, 100), classes=())

    assert "" == telling_words(numbers, pl.Series(["word"] * 100))


def test_of_very_long_texts_some_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    """A look takes seconds, however long the texts are, and says what it rests on."""
    codes = (np.arange(3_000) % 25 == 0).astype(np.int64)
    text = pl.Series(np.where(codes == 1, "rejected", "a bird"))
    assert telling_words(truth(codes), text).startswith("of the 120 rows")

    monkeypatch.setattr(words, "_MOST_BYTES", int(text.str.len_bytes().sum()) // 2)
    said = telling_words(truth(codes), text)

    assert said.startswith("of the 60 rows with 'rejected'")
    assert said.endswith("(in one row of 2)")


def test_rows_without_a_label_make_no_sample_of_the_others():
    """The figures rest on all rows that have one."""
    frame = birds().with_columns(effect=pl.when(pl.int_range(pl.len()) % 3 > 0).then("effect"))

    (question,) = asked(frame)

    assert "sample" not in question.evidence
