"""The steps of a run, in the order of `table.py`."""
