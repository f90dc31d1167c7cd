"""The inference server and its prediction log: starts fast, imports little."""
