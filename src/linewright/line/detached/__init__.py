"""Sites without a connection: a folder with one model that serves by itself, and what it answered, which comes back later."""
