"""A small part of `benchmarks/durability.py`, which kills 300 times and takes the databases away for ten minutes."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WINDOW_S = 1.0


pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def durability():
    """Give the benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)  # as for a script
        spec = importlib.util.spec_from_file_location("durability", BENCHMARKS / "durability.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "durability", module)  # its dataclasses look themselves up
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def made(durability, tmp_path_factory):
    """Give a factory whose line serves, and rows to ask about."""
    root = tmp_path_factory.mktemp("durable") / "factory"
    return root, durability.make(root, watch=f"{WINDOW_S:g}s")


@pytest.fixture
def factory(made, tmp_path):
    """Give a copy of it: what one test leaves there is nothing to another."""
    root, rows = made
    return shutil.copytree(root, tmp_path / "factory"), rows


def test_what_was_acknowledged_survives_kills_at_random_moments(durability, factory, capsys):
    """No answer and no label is lost, none is there twice, none that nobody sent."""
    assert [] == durability.kill(*factory, kills=3, seed=20)
    assert "| acknowledged answers | 0 |" not in capsys.readouterr().out


def test_what_the_disk_refuses_is_not_acknowledged_and_is_told(durability, factory):
    """A segment whose fsync failed is written to no more, since the next one may call a success what is lost."""
    if (because := durability.why_no_tracing()) is not None:
        pytest.skip(f"needs strace and leave to trace (apt-get install strace): {because}")

    assert [] == durability.fail(*factory, "serve-unlogged")


def test_an_endpoint_without_the_factorys_databases_answers_and_logs(durability, factory, capsys):
    """Serving must not end with the control plane; what it did meanwhile is counted once that is back."""
    assert [] == durability.alone(*factory, seconds=2.0, window_s=WINDOW_S)
    assert "| acknowledged answers | 0 |" not in capsys.readouterr().out
