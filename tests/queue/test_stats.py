"""The counters of a queue as a value for a health check's answer."""

from __future__ import annotations

import json
from types import MappingProxyType

import attrs

from synerise_profiles.queue import QueueStats


def test_stats_are_a_dict_for_json() -> None:
    """Every counter is in `to_dict()`, which JSON takes, whatever kind of mapping the reasons are in."""
    numbers = {field.name: 1 for field in attrs.fields(QueueStats) if field.name not in ("failing", "notes")}
    reasons = {"failing": {"profiles.upsert_batch": "status 403"}, "notes": {"a note": 2}}
    stats = QueueStats(**numbers, **{name: MappingProxyType(value) for name, value in reasons.items()})
    assert json.loads(json.dumps(stats.to_dict())) == {**numbers, **reasons}
