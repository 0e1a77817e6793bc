"""The schemas of the API document as rules for values, so that a bad row is refused before it is sent.

A `Schema` is a merged schema of the document; a `Rule` is made of it once, and then judges values in two ways. `check`
judges one value, and is what decides. `check_block` judges a column, the values of one field in many rows: it works on
all of them by a few calls in C, and only marks the suspects that `check` has to judge. Rows of one shape are columns of
their fields, so a good row costs about a microsecond. Nulls are checked elsewhere, where rows are encoded: a null
deletes, whatever its schema says.
"""
