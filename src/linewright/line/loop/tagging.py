"""Keeping the tags of line files while a factory is up: who has a right by a tag has it as long as the line has the tag."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.polling import PollingThread
from linewright.serve.access.accounts import read_accounts

EVERY_S = 0.5
"""Servers wait longer for a file that was written before its line has no tags."""


class Tagging(PollingThread):
    """A thread that keeps the tags of all lines of a factory, until it is closed. Other duties do not delay it.

    Parameters
    ----------
    open_factory
        Opens the factory; called once.
    """

    def __init__(self, open_factory: Callable[[], AbstractContextManager[Factory]]) -> None:
        super().__init__("tagging", open_factory, every_s=EVERY_S, not_done="tags of lines give no right now")

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        yield partial(tag_lines, factory)


def tag_lines(factory: Factory) -> None:
    """Keep the tags of line files if a grant is by tags.

    Raises
    ------
    LinewrightError
        If members, line files or state cannot be read or written.
    """
    if read_accounts(factory.state).uses_tags:
        keep_tags(factory.root, factory.state)
