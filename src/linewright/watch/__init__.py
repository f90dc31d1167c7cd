"""Windows of what serves → findings → alerts → retrain proposals: pure values; only `line` acts on them."""
