"""Files as blocks, lines and records: what sources, merges' pairs and the command line read with. Not public."""
