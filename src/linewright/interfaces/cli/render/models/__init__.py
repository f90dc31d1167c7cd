"""Text for the terminal: results of commands about models (`predict`, `card`, `value`, `watch`)."""
