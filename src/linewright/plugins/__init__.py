"""One file for each optional way to make a model, loaded by name and imported by nobody.

Each has a function ``offer`` from `model.train.search.Asked`, and perhaps what the line file says beside it, to
`model.train.search.Offered`. `line.engines` has them in a table.
"""
