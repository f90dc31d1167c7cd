"""What `check`, `new` and `run` say about a line before and beside a run."""
