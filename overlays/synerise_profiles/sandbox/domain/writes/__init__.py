"""The work behind accepted requests, each in one transaction: load what is touched, decide, store."""

from __future__ import annotations

from .devices import clean_up_devices, link_device
from .events import record_events, record_server_event, record_transactions
from .profiles import delete_profile, merge_profiles, update_profile, upsert_profiles

__all__ = [
    "clean_up_devices",
    "delete_profile",
    "link_device",
    "merge_profiles",
    "record_events",
    "record_server_event",
    "record_transactions",
    "update_profile",
    "upsert_profiles",
]
