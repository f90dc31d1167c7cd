"""The pages: what each asks for. What it looks like is in `templates/`."""
