"""Scores of how odd a row is are shares of good rows."""

import numpy as np
import pytest

from linewright.model.families.anomaly.empirical_cdf import learn_cdf
from linewright.model.families.anomaly.fitted import distances


@pytest.mark.parametrize("wild", [0, 3])
def test_scores_are_shares_also_if_most_good_rows_are_close_together(wild: int):
    """One column of amounts is dense where most of them are; the rows there count, or a fault never reaches the threshold."""
    chance = np.random.default_rng(0)
    rows = chance.lognormal(0, 1.2, (12_000, 1)).astype(np.float32)
    rows[:wild] = 100
    bank, learned, new = rows[wild : wild + 2_000], rows[2_000:7_000], rows[7_000:]
    learned = np.concatenate([rows[:wild], learned])
    cdf = learn_cdf(distances(learned, bank, 5))
    scores = cdf.scores(distances(new, bank, 5))

    assert (scores >= 0.99).mean() == pytest.approx(0.01, abs=0.005)
    assert (scores >= 0.9).mean() == pytest.approx(0.1, abs=0.015)
    assert 0 == cdf.share[0]
    assert cdf.share[-1] > 0.999
