"""Properties run without a time limit a case: a busy machine is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", deadline=None, max_examples=100)
settings.load_profile("house")
