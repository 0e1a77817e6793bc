"""What a change of the spec or of the code means for callers: on the wire and in Python, against a base."""
