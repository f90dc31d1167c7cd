"""The hooks of the site need its generator (extra `docs`)."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("mkdocs") else ["pages.py"]
