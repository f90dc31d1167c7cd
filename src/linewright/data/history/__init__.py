"""Source histories: every version of the rows that a source gave, so that a read asks for newer ones only."""
