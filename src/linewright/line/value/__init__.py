"""The value of a line that serves: prices, accounts, goals."""
