"""What the decisions of a line were worth, and what they would be with other amounts: both are worked out apart."""

from linewright.interfaces.console.page import Page

PAGE = Page(template="line_value.html.jinja")
