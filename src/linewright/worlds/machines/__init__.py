"""The world `machines`: plants whose machines wear out."""
