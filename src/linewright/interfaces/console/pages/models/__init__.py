"""Pages about models: versions, their cards and evidence, and which of them serves."""
