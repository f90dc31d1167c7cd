"""An upgrade computes nothing again: what steps depend on is said as it was, whatever words line files have learned since."""

import pytest
from small import LINE, make_factory

from linewright.line.factory import Factory

SAID = {
    (
        "ingest",
        "table and contract",
    ): "sha256:416983e282c3af2042382613893413e6c5b842c83e608cb7fb7bd44f63f54e42",
    ("split", "split"): "sha256:0d1c7b411dcaa51ccdbb867f107713a3e1e30a725962e61583af6db65c8ce998",
    ("train", "training"): "sha256:7f77d5e676fbab72a2e8bfecbad866ad96adde8c692769daba6e7dd57780f9be",
}
"""Digests that versions since 0.1.0 have in the keys of this line's steps. A word that is new in a line file may enter them only if it is used."""


@pytest.mark.parametrize(("step", "name"), SAID)
def test_a_line_that_stays_as_it_is_keeps_its_keys(tmp_path_factory, tmp_path, step, name):
    """Else each line is read, split and trained again after an upgrade, and its champion has to pass its gates anew."""
    with Factory.open(make_factory(tmp_path_factory, tmp_path / "factory")) as factory:
        assert SAID[step, name] == factory.metadata.last_inputs(LINE, step)[name]
