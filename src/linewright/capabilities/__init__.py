"""What the factory can do: a folder each, from stored form to page. `operations/table.py` names them."""
