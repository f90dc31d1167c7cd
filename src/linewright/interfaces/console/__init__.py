"""The console: pages for people, made of what operations answer. A page is one file in `pages/` and one row in `table.py`."""
