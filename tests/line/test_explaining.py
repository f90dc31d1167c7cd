"""What a run explains of its model, as the card, its JSON and the evidence tell it."""

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.evidence.operations import card, why
from linewright.data.facts import Column
from linewright.errors import NotFound
from linewright.features.encode import encode
from linewright.features.learn import learn, to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.record.evidence import explain
from linewright.line.runs.execute import execute_inline
from linewright.line.steps.explained_inputs import inputs_of
from linewright.model.facts import Evaluation, Explanation


@pytest.fixture(scope="module")
def ran(tumours_once):
    result = execute_inline(tumours_once, "tumours")
    return tumours_once, result


def test_the_card_and_its_json_tell_what_was_found(ran):
    """One computation, at the run; the card reads the record."""
    factory, _ = ran
    told = card(factory, "tumours@1", html=True)
    found = told.explanation

    assert found["shuffled"][0]["low"] > 0
    assert found["unit"] == "log-odds"
    for title in (
        "Where it is weak",
        "Which columns it needs",
        "What moves its answers",
        "How the answer goes",
    ):
        assert title in told.markdown
        assert title in told.html
    assert '<figure class="plot">' in told.html
    assert found["shuffled"][0]["columns"][0] in told.markdown.replace("\\", "")
    assert told == card(factory, "tumours@1", html=True)


def test_it_is_evidence_like_any_other(ran):
    """`why` leads from the certificate to it, and it says which package it is about."""
    factory, result = ran
    evaluation = next(one for one in explain(factory, "tumours@1").rests_on if one.kind == "evaluation")
    digest = factory.metadata.get(evaluation.digest, Evaluation).explanation

    assert result.digest == factory.metadata.get(digest, Explanation).package
    assert "the model needs" in result_text(why(factory, digest))
    assert digest in [one.digest for one in evaluation.rests_on]


def test_a_line_without_a_version_means_its_champion(ran):
    """Everywhere else it does, and who asks why something serves does not know its number."""
    factory, _ = ran

    assert why(factory, "tumours@1") == why(factory, "tumours")
    with pytest.raises(NotFound, match="allowed: LINE, LINE@VERSION or the first digits"):
        why(factory, "tumour")


def test_inputs_are_the_columns_that_people_know():
    """A date fills several places of the matrix and is one column; days between two dates are one of their own."""
    chance = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "opened": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 9), eager=True),
            "closed": pl.date_range(pl.date(2024, 2, 1), pl.date(2024, 5, 10), eager=True),
            "ok": chance.random(100) < 0.5,
            "shop": chance.choice(["a", "b", None], 100),
        }
    ).with_columns(
        closed=pl.col("closed").dt.offset_by(pl.Series(chance.integers(0, 9, 100)).cast(pl.String) + "d")
    )
    types = {"opened": "date", "closed": "date", "ok": "boolean", "shop": "category"}
    encoder = learn(frame, [Column(name=name, type=kind) for name, kind in types.items()])
    columns = to_columns(frame, encoder.columns)
    found = {one.name: one for one in inputs_of(encoder, columns)}

    assert {"opened", "closed", "ok", "shop", "closed-opened"} == set(found)
    assert len(found["opened"].places) > 1
    assert "time" == found["opened"].kind
    assert ("false", "true") == found["ok"].levels
    assert np.isnan(found["shop"].values).sum() == frame["shop"].null_count()
    every = [place for one in found.values() for place in one.places]
    assert sorted(every) == list(range(encode(encoder, columns).shape[1]))
