"""View models: the bundle and what the parser made of it, shaped into the plain values that templates print."""
