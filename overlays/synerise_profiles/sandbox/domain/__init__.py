"""What the API decides, as pure functions: matching, merging, events of a transaction, rows of an export."""
