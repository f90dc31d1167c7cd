"""Sites without a connection: a folder with one model that serves by itself, and its predictions, which come back later."""
