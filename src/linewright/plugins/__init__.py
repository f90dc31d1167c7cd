"""One file for each optional way to make a model, loaded by name and imported by nobody.

Each has a function ``offer`` from `model.search.Asked`, and perhaps what the line file says beside it, to
`model.search.Offered`. `line.engines` has them in a table.
"""
