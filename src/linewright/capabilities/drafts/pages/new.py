"""A new line: a table, its label, and what else is known of it."""

from linewright.interfaces.console.page import Entry, Page

PAGE = Page(at=(Entry("new", "/new", "run", "New line"),), template="drafts/new.html.jinja")
