"""Rendered files: templates filled in, formatted, and swapped into generated/ as a whole."""
