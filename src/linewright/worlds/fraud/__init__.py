"""The world `fraud`: card payments."""
