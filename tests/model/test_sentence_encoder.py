"""An encoder of sentences: what it says of texts, and what is refused."""

import numpy as np
import pytest

from linewright.errors import Corrupt
from linewright.features.learn_text import learn_text
from linewright.line.steps.compare_trainings import compare
from linewright.model.sentence_encoder import SentenceReader, sentence_encoder_of
from linewright.plugins import minilm
from linewright.store.artifacts.local import LocalArtifacts


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> SentenceReader:
    artifacts = LocalArtifacts(tmp_path_factory.mktemp("bytes"))
    text = learn_text("text", sorted(["a fast car", "a quick ride", "a bowl of soup"]), rows=3)
    return sentence_encoder_of(text, artifacts)[1]


def test_texts_that_mean_the_same_are_near(reader):
    """Though they have no word in common."""
    car, quick, soup = reader.read(["a car that is fast", "one quick automobile", "some hot soup"])[:, -384:]

    assert car @ quick > 0.6
    assert car @ soup < 0.3
    assert 1 == pytest.approx(car @ car, abs=1e-5)


def test_a_text_has_the_same_numbers_whichever_others_come_with_it(reader):
    texts = [
        "short",
        "a text that is quite a lot longer than the other ones are",
        "",
        "\udcff",
        "tab\tand\x00zero",
    ]
    together = reader.read(texts)
    fresh = reader.read([f"{text} " for text in texts])  # others in between

    assert len(texts) == len(fresh)
    assert np.isfinite(together[:, -384:]).all()
    for row, text in enumerate(texts):
        assert np.array_equal(reader.read([text])[0], together[row], equal_nan=True)
    assert (0, together.shape[1]) == reader.read([]).shape


def test_words_behind_the_first_tokens_are_not_read(reader):
    """A text of a megabyte takes no longer than one of a page."""
    long = "word " * 400

    assert np.array_equal(reader.read([long])[0, -384:], reader.read([long + "soup " * 200_000])[0, -384:])


def test_another_file_is_refused(monkeypatch):
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(Corrupt, match="is not that of its wheel"):
        minilm.graph()


def test_two_ways_are_compared_by_units():
    """A hundred rows of one patient are one patient."""
    chance = np.random.default_rng(1)
    target = np.repeat(chance.normal(size=4), 100)
    first, other = np.zeros(400), target * 0.5 + np.repeat(chance.normal(size=4), 100) * 0.45
    by_row, by_unit = compare(first, other, target), compare(first, other, target, np.repeat(range(4), 100))

    assert by_row.gain == by_unit.gain
    assert by_row.standard_error < by_unit.standard_error / 3
    assert np.isinf(compare(first, other, target, np.zeros(400)).standard_error)
    assert 0 == compare(np.full(2, np.nan), np.zeros(2), np.zeros(2)).rows


def test_two_ways_are_compared_by_the_weights_of_rows():
    """A row of weight 3 counts as three of the same unit, and what does not count decides nothing."""
    chance = np.random.default_rng(2)
    target, first, other = chance.normal(size=(3, 40))
    weight = chance.integers(0, 4, 40)
    copies, names = np.repeat(np.arange(40), weight), np.arange(40)
    found = compare(first, other, target, names, weight=weight.astype(np.float64))
    copied = compare(first[copies], other[copies], target[copies], names[copies])

    assert int((weight > 0).sum()) == found.rows
    assert pytest.approx(copied[1:]) == found[1:]
    assert 0 == compare(first, other, target, weight=np.zeros(40)).rows
