"""The suite on each engine."""

import pytest

from linewright.engine.durable import DurableEngine
from linewright.engine.inline import InlineEngine
from linewright.engine.protocol import ignore
from linewright.testing.engine import EngineContract


class TestInline(EngineContract):
    @pytest.fixture
    def make_engine(self):
        return InlineEngine


@pytest.fixture
def opened():
    """Engines to close when the test is over."""
    engines = []
    yield engines
    for engine in engines:
        engine.close()


class TestDurableOnSqlite(EngineContract):
    @pytest.fixture
    def make_engine(self, tmp_path, opened):
        def make(workflows, observe=ignore):
            opened.append(DurableEngine(f"sqlite:///{tmp_path}/engine.sqlite", workflows, observe))
            return opened[-1]

        return make


class TestDurableOnPostgres(EngineContract):
    @pytest.fixture
    def make_engine(self, postgres_database, opened):
        def make(workflows, observe=ignore):
            opened.append(DurableEngine(postgres_database, workflows, observe))
            return opened[-1]

        return make
