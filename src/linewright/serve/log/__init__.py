"""The prediction log of an endpoint and its index."""
