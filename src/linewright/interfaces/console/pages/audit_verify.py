"""The record, verified: each entry against the one before."""

from linewright.interfaces.console.page import Page

PAGE = Page(template="audit_verify.html.jinja", apart=lambda _values: {"found": ("audit verify", {})})
