"""What others can hold against the record: signed checkpoints, refused attempts as entries, its entries for other programs."""
