"""The console: pages for people, made of what operations answer. A page is one file below `pages/` and one row in `table.py`."""
