"""How an operation is declared once, for command, HTTP and Python."""
