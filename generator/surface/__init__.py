"""The public surface: every name that a user may import, with its signature, read from the sources as text."""
