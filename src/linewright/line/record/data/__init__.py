"""What the record says of data: dataset versions, their sources, and the rows of them."""
