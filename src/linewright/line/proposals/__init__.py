"""Changes that wait for people: who may approve them, what they stand on, how they stand."""
