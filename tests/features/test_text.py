"""Texts as numbers: what a gram is, what a text becomes, and what is learned of texts."""

from collections import Counter
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
from linewright.errors import Corrupt, RequestError
from linewright.features.encode import Levels, encode
from linewright.features.facts import SHAPES, Encoder, Text, TextPart
from linewright.features.learn import learn, to_columns
from linewright.features.learn_text import learn_text
from linewright.features.text import LENGTHS, MOST_CHARACTERS, KnownGrams, TextReader, grams, in_batches
from linewright.store.values import canonical_json

NOTE = [Column(name="note", type="text")]
TOPICS = {
    "refund": (
        "refund",
        "money",
        "back",
        "please",
        "return",
        "broken",
        "order",
        "never",
        "arrived",
        "parcel",
        "lost",
        "claim",
    ),
    "praise": (
        "great",
        "lovely",
        "service",
        "thank",
        "you",
        "fast",
        "delivery",
        "happy",
        "again",
        "friendly",
        "perfect",
    ),
}
FILLER = (
    "the",
    "a",
    "my",
    "it",
    "is",
    "was",
    "with",
    "from",
    "today",
    "yesterday",
    "shop",
    "customer",
    "17",
    "42",
    "and",
    "but",
)


def letters(n, seed):
    """Texts of two kinds of people, who share most of their words; and of which kind each is."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, n)
    texts = [
        " ".join(
            rng.permutation([*rng.choice(FILLER, 8), *rng.choice(list(TOPICS.values())[kind], 2)]).tolist()
        )
        for kind in kinds
    ]
    return texts, kinds


@pytest.fixture(scope="module")
def text():
    """Learn a text encoding of letters, and of some that are not in Latin script."""
    texts = [*letters(300, seed=1)[0], *("退款 请退款 谢谢", "Спасибо, деньги!", "تم الإرجاع", "12.50 €?")]
    return learn_text("note", sorted({*texts, *(f"{one} 谢谢" for one in texts[:40])}), rows=400)


any_text = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab 0.Ä谢\n\x00\u2028\ud800", max_size=30),
    st.lists(
        st.sampled_from([*FILLER, *TOPICS["refund"], "谢谢", "REFUND!!", "0800"]), min_size=0, max_size=12
    ).map(" ".join),
)


def by_hand(text):
    """Return the keys of a text's grams, one character at a time, as `features.text` says in words."""

    def key(parts, kind):
        prints = 0
        for at, part in enumerate(parts):
            prints += (ord(part) + 1) * pow(0x9E3779B97F4A7C15, at, 2**64)
        return mixed(prints, kind)

    def mixed(prints, kind):
        h = (prints ^ (kind * 0xD6E8FEB86659FD93)) % 2**64
        h ^= h >> 33
        h = h * 0xFF51AFD7ED558CCD % 2**64
        h ^= h >> 33
        h = h * 0xC4CEB9FE1A85EC53 % 2**64
        return h >> 32

    def prints_of(word):
        return sum((ord(c) + 1) * pow(0x9E3779B97F4A7C15, at, 2**64) for at, c in enumerate(word))

    folded = f" {' '.join(text.lower().split())} " if text.split() else " "
    folded = "".join("0" if c in "0123456789" else c for c in folded)
    words = "".join(c if c.isalnum() else " " for c in folded).split()
    runs = [folded[at : at + n] for n in LENGTHS for at in range(len(folded) - n + 1)]
    pairs = [mixed(prints_of(a) * 0x9E3779B97F4A7C15 + prints_of(b), 65) for a, b in pairwise(words)]
    return Counter([*(key(run, len(run)) for run in runs), *(key(word, 64) for word in words), *pairs])


@pytest.mark.parametrize(
    "text", ["Call 0800-17 NOW", "", " a  b ", "ÄÖÜ über été", "x", "Привет мир", "a.b.c d"]
)
def test_keys_are_what_the_page_says(text):
    """Another program can compute them: neither Python's hash nor the length of an array is in them."""
    assert by_hand(text) == Counter(grams([text]).keys.tolist())


def test_keys_never_change():
    """A package of today is read by the endpoint of next year."""
    assert [417139443, 919668286] == grams(["free"]).keys[-2:].tolist()


@settings(deadline=None)
@given(texts=st.lists(any_text, min_size=1, max_size=8))
def test_a_text_becomes_the_same_alone_and_among_others(text, texts):
    """A request of one row is answered as the table was learned from, to the bit."""
    reader = TextReader(text)
    together = reader.read(texts * 3)
    alone = np.concatenate([reader.read([one]) for one in texts])

    assert together.tobytes() == np.tile(alone, (3, 1)).tobytes()
    assert (len(texts) * 3, text.width) == together.shape
    assert np.isfinite(together).all()


@given(texts=st.lists(st.integers(0, 20_000), max_size=12))
def test_batches_hold_every_text_once_and_are_bounded(texts):
    """Neither many texts nor a long one take more memory than a batch."""
    found = ["x" * length for length in texts]
    batches = list(in_batches(found))

    assert found == [one for batch in batches for one in found[batch]]
    assert all(sum(min(len(one), MOST_CHARACTERS) + 2 for one in found[batch]) <= 32_768 for batch in batches)


def test_a_text_of_100_kilobytes_is_read_to_its_first_10000_characters(text):
    """The work for one value is bounded; how long it is, is told."""
    reader = TextReader(text)
    long = ("refund please " * 10_000)[:100_000]
    whole, start = reader.read([long, long[:MOST_CHARACTERS]])

    assert 100_000 == whole[0]
    assert start[1:].tobytes() == whole[1:].tobytes()


def test_missing_is_said_once_and_blank_texts_have_nothing(text):
    """A linear model has an indicator for each column with NaN, so one column has it."""
    parts = tuple(TextPart(column="note", part=part) for part in range(text.width))
    levels = Levels(codes=np.array([-1, 0, 1], dtype=np.int32), levels=["", "\x00\x07 \t"])
    missing, empty, blank = encode(Encoder(encodings=parts, texts=(text,)), {"note": levels})

    assert np.isnan(missing[0])
    assert not missing[1:].any()
    assert not empty.any()
    assert (4.0, 0) == (blank[0], blank[1:].any())


def test_grams_are_found_among_keys_that_begin_alike():
    """Keys are looked for by their upper bits; those that share them are told apart, at both ends too."""
    found = grams(["aa", "abab aa"])
    shared = [0, 1, 7, 2**31, 2**31 + 1, 2**31 + 2, 2**32 - 2, 2**32 - 1]
    beside = [(key + step) % 2**32 for key in found.keys.tolist() for step in (-2, -1, 0, 1)]
    keys = np.unique(np.array([*shared, *beside[::3]], dtype=np.uint32))
    weighed = KnownGrams(keys, np.ones(len(keys))).weigh(found)
    counts = Counter(zip(found.texts.tolist(), found.keys.tolist(), strict=True))
    expected = sorted(pair for pair in counts if pair[1] in keys)

    assert expected == list(zip(weighed.texts.tolist(), keys[weighed.grams].tolist(), strict=True))
    assert 4 < len(expected) < len(counts)


def test_shapes_say_what_a_text_looks_like():
    """How long it is, and shares of its characters."""
    shapes = grams(["Call 0800 NOW!!", "谢谢 你", "…"]).shapes.round(4).tolist()

    assert [15.0, 3.0, round(4 / 15, 4), round(4 / 15, 4), round(2 / 15, 4)] == shapes[0]
    assert [[4.0, 2.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]] == shapes[1:]


def test_words_that_tell_the_label_are_found_without_it():
    """What texts of one kind share is a direction, or a word of its own: a linear model tells the kinds apart."""
    texts, kinds = letters(1200, seed=2)
    frame = pl.DataFrame({"note": texts})
    encoder = learn(frame[:800], NOTE)
    x = encode(encoder, to_columns(frame, ["note"]))
    model = LogisticRegression(C=1.0, max_iter=500).fit(x[:800], kinds[:800])

    assert 0.99 < roc_auc_score(kinds[800:], model.predict_proba(x[800:])[:, 1])


def test_what_is_learned_depends_on_the_different_texts_alone():
    """Neither the order of the rows nor how often a text occurs matters; and it is the same bytes again."""
    texts = letters(200, seed=3)[0]
    rows = pl.DataFrame({"note": [*texts, *texts[:50], None]})
    encoders = [learn(rows.sample(fraction=1, shuffle=True, seed=seed), NOTE) for seed in (1, 2)]

    assert canonical_json(encoders[0]) == canonical_json(encoders[1])
    assert encoders[0] == msgspec.json.decode(canonical_json(encoders[0]), type=Encoder)


def test_many_rows_have_fewer_words():
    """The matrix of a long table stays small."""
    texts = sorted(set(letters(300, seed=4)[0]))

    assert 30 < len(learn_text("note", texts, rows=300).words) // 2
    assert 16 == len(learn_text("note", texts, rows=2_000_000).words) // 2


@pytest.mark.parametrize(
    "texts", [["one"], ["one", "two"], [f"{i:x}" for i in range(30)], ["same text"] * 3 + ["x"]]
)
def test_texts_of_which_nothing_can_be_learned_are_no_error(texts):
    """A column that grew only yesterday must not stop a run."""
    text = learn_text("note", sorted(set(texts)), rows=len(texts))

    assert (len(texts), text.width) == TextReader(text).read(texts).shape


def test_names_say_which_number_it_is():
    """For the leaderboard of columns and the card."""
    parts = tuple(TextPart(column="note", part=part) for part in (0, 4, 5, 6))

    assert ("note:characters", "note:marks", "note:1", "note:2") == Encoder(encodings=parts).names
    assert "characters" == SHAPES[0]


def test_a_text_encoding_whose_parts_do_not_fit_is_refused(text):
    """A package that was put together by hand must not answer with other columns' numbers."""
    for change in ({"weights": text.weights[:-4]}, {"directions": b""}, {"words": b"\xff\xff"}):
        with pytest.raises(Corrupt, match="the parts of a text encoding do not fit together"):
            TextReader(msgspec.structs.replace(text, **change))
    encoder = Encoder(encodings=(TextPart(column="note", part=0),))
    levels = {"note": Levels(codes=np.array([0], dtype=np.int32), levels=["a"])}
    with pytest.raises(Corrupt, match="nothing says how these values become numbers"):
        encode(encoder, levels)
    with pytest.raises(RequestError, match="a column that the model reads is absent"):
        encode(Encoder(encodings=encoder.encodings, texts=(text,)), {})


def test_text_is_plain_data():
    """Arrays are bytes, base64 in JSON."""
    fields = {"column", "keys", "weights", "directions", "topics", "words"}

    assert fields == set(msgspec.to_builtins(learn_text("note", ["a", "b"], rows=2)))
    assert Text.__struct_config__.frozen


def test_very_many_texts_become_what_each_becomes(text, monkeypatch):
    """Millions of texts are read in parts; nothing of the rows shows it, missing ones included."""
    texts = [*letters(60, seed=6)[0], None, "", None, *letters(20, seed=6)[0]]
    columns = to_columns(pl.DataFrame({"note": texts}), ["note"])
    parts = tuple(TextPart(column="note", part=part) for part in range(text.width))
    encoder = Encoder(encodings=parts, texts=(text,))
    whole = encode(encoder, columns)
    monkeypatch.setattr("linewright.features.encode._TEXTS_AT_ONCE", 7)

    assert whole.tobytes() == encode(encoder, columns).tobytes()
