"""Settings of Hypothesis for all tests; loaded before any of them, since a property takes them when it is defined."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No time limits: a busy machine is no defect.
settings.register_profile("house", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
