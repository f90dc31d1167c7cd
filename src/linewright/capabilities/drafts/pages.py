"""Pages of the console."""

from linewright.interfaces.console.page import Entry, Page

PAGES = (Page(at=(Entry("new", "/new", "run", "New line"),), template="drafts/new.html.jinja"),)
