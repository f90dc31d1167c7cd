"""CatBoost: what is kept of it answers as it does, and needs nothing of it."""

import pytest

pytest.importorskip("catboost")

from linewright.plugins.catboost import CatBoost
from linewright.testing.trainers import TrainerContract


class TestCatBoost(TrainerContract):
    """CatBoost keeps the contract of trainers."""

    @pytest.fixture
    def trainer(self):
        return CatBoost()

    @pytest.fixture(params=[4, 8], ids=["shallow", "deep"])
    def settings(self, request):
        return {"learning_rate": 0.2, "max_depth": request.param, "patience": 10, "rounds": 50}
