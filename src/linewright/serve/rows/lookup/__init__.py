"""What is looked up for a row: features of its entity, values of its series, similar items."""
