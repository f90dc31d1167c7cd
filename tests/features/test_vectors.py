"""Word vectors: what is read of a file, and what texts become by them."""

import gzip
import io
from itertools import pairwise

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from linewright.data.facts import Column
from linewright.errors import Corrupt, SpecError
from linewright.features import vectors as reading
from linewright.features.encode_table import encode_table
from linewright.features.facts import SHAPES, Text
from linewright.features.learn import learn
from linewright.features.learn_text import learn_text
from linewright.features.text import TextReader
from linewright.features.vectors import head, learn_vectors, parse
from linewright.line.run_context import VECTORS_FILE, read_vectors_file

NOTE = [Column(name="note", type="text")]
WIDTH = 20


def vector_file(world) -> bytes:
    """Return the file of a world's vectors, as GloVe writes one."""
    lines = (f"{word} {' '.join(f'{x:.4f}' for x in numbers)}" for word, numbers in world.items())
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def synonyms():
    """Make a world in which each of two meanings has 300 words that share no letters but by chance, and 40 words mean nothing.

    Those who write the first texts know half of the words of each meaning; those who write the later ones know the others.
    """
    rng = np.random.default_rng(1)
    spelt = {"".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(640)}
    words = np.array(sorted(spelt))

    assert len(words) == 640
    said = [words[:300], words[300:600]]
    fillers = words[600:]
    centres = rng.normal(size=(2, WIDTH))
    vectors = {str(word): rng.normal(size=WIDTH) for word in fillers}
    vectors |= {str(word): centres[m] + rng.normal(size=WIDTH) for m in (0, 1) for word in said[m]}

    def texts(n, known):
        meant = rng.integers(0, 2, n)
        written = [
            " ".join(rng.permutation([*rng.choice(fillers, 6), *rng.choice(said[m][known], 3)]).tolist())
            for m in meant
        ]
        return pl.DataFrame({"note": written}), meant

    return vectors, texts(400, slice(0, 150)), texts(400, slice(150, 300))


@pytest.fixture(scope="module")
def text(synonyms):
    """Learn a text encoding of that world, with vectors."""
    vectors, (frame, _), _ = synonyms
    texts = sorted(set(frame["note"]))
    return learn_text("note", texts, rows=len(texts), vectors=parse(vector_file(vectors), where="here"))


def test_words_that_training_never_saw_mean_what_their_vectors_say(synonyms):
    """What the vectors are for: without them the later texts are noise."""
    vectors, (frame, meant), (later, truth) = synonyms

    def auc(given):
        encoder = learn(frame, NOTE, vectors=given)
        x, z = encode_table(encoder, frame), encode_table(encoder, later)
        scale = x.std(axis=0)
        model = LogisticRegression(C=0.05, max_iter=1_000).fit(x / scale, meant)
        return roc_auc_score(truth, model.predict_proba(z / scale)[:, 1])

    assert 0.4 < auc(None) < 0.6
    assert auc(parse(vector_file(vectors), where="here")) > 0.9


@settings(max_examples=30)
@given(st.data())
def test_a_text_becomes_the_same_alone_and_among_others(synonyms, text, data):
    """Batch is one by one, to the bit: no text hangs on those beside it."""
    vectors, _, _ = synonyms
    words = st.one_of(st.sampled_from(sorted(vectors)), st.text(max_size=6))
    texts = data.draw(st.lists(st.lists(words, max_size=8).map(" ".join), min_size=1, max_size=6))
    reader = TextReader(text)

    assert reader.read(texts).tobytes() == b"".join(reader.read([one]).tobytes() for one in texts)


def test_numbers_are_those_of_the_page_by_hand(synonyms, text):
    """The mean of vectors of length 1, weighed, along directions of length 1 that stand on each other."""
    vectors, (frame, _), _ = synonyms
    texts = sorted(set(frame["note"]))
    unit = {word: numbers / np.linalg.norm(numbers) for word, numbers in vectors.items()}
    documents = {word: sum(word in one.split() for one in texts) for word in vectors}
    weight = {word: 1 + np.log((1 + len(texts)) / (1 + d)) for word, d in documents.items()}

    def mean(one):
        parts = {
            word: weight[word] * (1 + np.log(one.split().count(word)))
            for word in set(one.split()) & set(unit)
        }
        return sum(w * unit[word] for word, w in parts.items()) / np.sqrt(sum(w * w for w in parts.values()))

    means = np.array([mean(one) for one in texts])
    components = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2]
    mine = TextReader(text).read(texts)[:, text.width - text.vectors.topics :]

    assert text.vectors.topics == WIDTH
    for one, component in zip(mine.T, components, strict=True):
        sign = np.sign(one @ (means @ component))
        assert np.allclose(one, sign * (means @ component), atol=5e-3)
    assert (text.vectors.found, text.vectors.of) == (9 * len(texts), 9 * len(texts))


def test_vectors_change_no_other_part_of_a_text(synonyms, text):
    """All other parts have the numbers that they have without."""
    _, (frame, _), _ = synonyms
    texts = sorted(set(frame["note"]))
    plain = learn_text("note", texts, rows=len(texts))
    before = plain.width

    assert msgspec.structs.replace(text, vectors=None) == plain
    assert text.width == before + text.vectors.topics
    assert TextReader(plain).read(texts).tobytes() == TextReader(text).read(texts)[:, :before].tobytes()


def test_vectors_are_plain_data(text):
    """A package is JSON; what is read back is what was written."""
    assert msgspec.json.decode(msgspec.json.encode(text), type=Text) == text


def test_parts_that_do_not_fit_are_refused(text):
    """A damaged encoding answers nothing."""
    short = msgspec.structs.replace(text.vectors, weights=text.vectors.weights[4:])

    with pytest.raises(Corrupt, match="do not fit together"):
        TextReader(msgspec.structs.replace(text, vectors=short))


def test_what_is_learned_depends_on_the_texts_and_the_vectors_alone(synonyms, text):
    """Neither the order of the file's lines after their words' first nor that of the rows matters."""
    vectors, (frame, _), _ = synonyms
    turned = dict(reversed(vectors.items()))
    texts = sorted(set(frame["note"]))

    assert learn_vectors(texts, parse(vector_file(turned), where="here")) == text.vectors


@pytest.mark.parametrize(
    ("texts", "of"),
    [([], 0), (["one two"], 2), ([f"unknown{'x' * n}" for n in range(40)], 40), (["alpha"] * 1, 1)],
    ids=["no texts", "one text", "no word has a vector", "one word"],
)
def test_texts_of_which_nothing_can_be_learned_are_no_error(texts, of):
    """Then there are no directions, and the count of words says why."""
    found = learn_vectors(texts, parse(b"alpha 1 2\nbeta 2 1\n", where="here"))

    assert (0, of, b"") == (found.topics, found.of, found.keys)


def test_directions_that_texts_do_not_differ_in_are_none():
    """Rounding is no direction."""
    texts = [f"{'alpha ' * (n % 2)}beta {n * 'x'}" for n in range(60)]
    found = learn_vectors(texts, parse(b"alpha 1 0 0\nbeta 0 1 0\ngamma 0 0 1\n", where="here"))

    assert found.topics == 1


def test_both_forms_are_read_and_what_is_no_word_is_left_out():
    """word2vec and fastText write sizes first, GloVe does not; files hold marks, phrases and words of several capitals."""
    lines = (
        b"The 3 4\nthe 1 0\n, 5 5\n. . . 1 1\nnew_york 1 1\ncaf\xc3\xa9 0 2\nnothing 0 0\nbroken\xff 1 1\n"
    )
    plain, sized = parse(lines, where="here"), parse(b"8 2\n" + lines, where="here")
    known = parse(b"the 3 4\ncaf\xc3\xa9 0 1\nbroken\xef\xbf\xbd 1 1\n", where="here")

    assert known.keys.tolist() == plain.keys.tolist() == sized.keys.tolist()
    assert known.numbers.tobytes() == plain.numbers.tobytes() == sized.numbers.tobytes()


def test_only_the_first_lines_are_read(monkeypatch):
    """Of millions of words those that are used most; memory is bounded."""
    monkeypatch.setattr(reading, "MOST_VECTORS", 2)
    lines = b"alpha 1 2\nbeta 2 1\ngamma 1 1\n"

    assert head(io.BytesIO(lines)) == lines
    assert len(parse(head(io.BytesIO(lines)), where="here").keys) == 2
    assert len(parse(head(io.BytesIO(b"3 2\n" + lines)), where="here").keys) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no word vectors"),
        (b"only\nwords\n", "no word vectors"),
        (b"2 3\n", "no word vectors"),
        (b"alpha 1 2\nbeta 1\n", "line 2 of the file: 1 numbers"),
        (b"2 2\nalpha 1 2\nbeta 1 2 3\n", "line 3 of the file: 3 numbers"),
        (b"alpha 1 2\n\nbeta 1 2\n", "line 2 of the file: 0 numbers"),
        (b"alpha 1 2\nbeta 1 nan\n", "line 2"),
        (b"alpha 1 2\nbeta 1 x\n", "line 2"),
        (b"alpha 0 0\nbeta 0 0\n", "no word of the file has a vector"),
        (b"2 2\n\x00\x01\x80?beta \x00\x00\n", "line 2"),
        (b"alpha" + b" 1" * 1_025, "1,025 numbers|1025 numbers"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(data, says):
    """The message says where, and which forms there are."""
    with pytest.raises(SpecError, match=says) as caught:
        parse(data, where="train.word_vectors")

    assert "fastText" in str(caught.value)


def test_a_packed_file_is_read_as_it_is(tmp_path):
    """Files of vectors are handed on packed."""
    lines = b"alpha 1 2\nbeta 2 1\n"
    (tmp_path / "words.vec").write_bytes(lines)
    (tmp_path / "words.vec.gz").write_bytes(packed := gzip.compress(lines))
    (tmp_path / "half.vec.gz").write_bytes(packed[:-9])

    assert lines == read_vectors_file(tmp_path, "words.vec") == read_vectors_file(tmp_path, "words.vec.gz")
    with pytest.raises(SpecError, match="packed and damaged"):
        read_vectors_file(tmp_path, "half.vec.gz")
    with pytest.raises(SpecError, match="no such file") as caught:
        read_vectors_file(tmp_path, "word.vec")
    assert VECTORS_FILE in str(caught.value)


def test_numbers_come_in_the_order_of_the_page(text):
    """Shapes, directions, words, and then the directions of vectors: older numbers keep their places."""
    listed = [len(SHAPES), text.topics, len(text.words) // 2, text.vectors.topics]

    assert text.width == sum(listed)
    assert all(a < b for a, b in pairwise(np.frombuffer(text.vectors.keys, dtype="<u4").tolist()))
