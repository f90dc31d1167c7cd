"""A new line: a table, its label, and what else is known of it."""

from linewright.interfaces.console.page import Page

PAGE = Page(template="lines/new.html.jinja")
