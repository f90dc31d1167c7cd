"""Keeping the tags of line files while a factory is up: who has a right by a tag has it as long as the line has the tag, and lines are listed by them."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.polling import PollingThread
from linewright.serve.access.accounts import read_accounts

EVERY_S = 0.5
"""Servers wait longer for a file that was written before its line has no tags."""
RELAXED_S = 5.0
"""How often while no grant is by tags: then they only show which lines belong together."""


class Tagging(PollingThread):
    """A thread that keeps the tags of all lines of a factory, until it is closed. Other duties do not delay it."""

    def __init__(self, open_factory: Callable[[], AbstractContextManager[Factory]]) -> None:
        super().__init__("tagging", open_factory, every_s=EVERY_S, not_done="tags of lines give no right now")

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        kept_at = float("-inf")

        def look() -> None:
            nonlocal kept_at
            if monotonic() < kept_at + RELAXED_S:
                tag_lines(factory)
            else:
                keep_tags(factory.root, factory.state)
                kept_at = monotonic()

        yield look


def tag_lines(factory: Factory) -> None:
    """Keep the tags of line files if a grant is by tags."""
    if read_accounts(factory.state).uses_tags:
        keep_tags(factory.root, factory.state)
