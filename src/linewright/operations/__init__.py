"""What can be asked for: how an operation is declared, and the table of all that capabilities declare."""
