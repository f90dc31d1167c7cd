"""The models that an endpoint holds: follow the pointer, load, canary, shadow."""
