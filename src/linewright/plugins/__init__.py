"""One file for each optional way to make or read a model, loaded by name and imported by nobody.

What makes one has a function ``offer`` from `model.train.search.Asked`, and perhaps what the line file says beside it, to
`model.train.search.Offered`; `line.engines` has them in a table. What reads the file of a library has a function ``read`` from its bytes
to `model.imported.booster_file.Sums`, which has the table of these.
"""
