"""What a look at a table tells about its columns."""
