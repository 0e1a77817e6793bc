"""Integrations: other programs' interfaces to this library. Nothing imports them; each needs an extra of its own."""
