"""`client.doctor()`: whether the host answers, the key is accepted, what it may do, the clock and the latency."""

from __future__ import annotations

from .diagnosis import Check, CheckState, Diagnosis
from .examination import PERMISSION_CHECK, diagnose

__all__ = ["PERMISSION_CHECK", "Check", "CheckState", "Diagnosis", "diagnose"]
