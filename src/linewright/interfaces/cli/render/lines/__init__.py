"""Text for the terminal: results of commands about lines and runs (`new`, `check`, `plan`, `runs`, `schedule`, `status`)."""
