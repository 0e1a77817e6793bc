"""Scanning programs for the methods and names that they use, for deprecations and for permissions."""
