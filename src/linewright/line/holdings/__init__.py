"""What keeps bytes and rows of a factory, each in one class: how it is checked, referred to, backed up and restored."""
