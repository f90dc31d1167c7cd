"""`python -m linewright` is the command `linewright`."""

from linewright.interfaces.cli import main

main()
