"""The state of a sandbox: one store for each kind of record, over one database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from synerise_profiles.sandbox.clock import Clock, system_clock
from synerise_profiles.sandbox.domain import profiles as profile_rules
from synerise_profiles.sandbox.domain.profiles import NO_SHAPE, ProfileShape, StoredProfile
from synerise_profiles.sandbox.schemas import Json

from .database import MEMORY, Database
from .devices import DeviceStore
from .events import EventStore, TransactionStore
from .profiles import ProfileStore
from .records import RecordStore
from .stats import RecordCounts, StateOverview
from .tags import TagStore


class StateStore:
    """Profiles, tags, devices, events, transactions and other records; reading is safe from any thread."""

    def __init__(
        self, path: str | os.PathLike[str] = MEMORY, clock: Clock = system_clock, shape: ProfileShape = NO_SHAPE
    ) -> None:
        self._shape = shape
        self._is_in_memory = path == MEMORY
        self._database = Database(path)
        self._clock = clock
        self._open()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {'memory' if self._is_in_memory else 'a file'}>"

    def _open(self) -> None:
        self.profiles = ProfileStore(self._database)
        self.tags = TagStore(self._database, self._clock)
        self.devices = DeviceStore(self._database, self.profiles, self._clock)
        self.events = EventStore(self._database)
        self.transactions = TransactionStore(self._database)
        self.records = RecordStore(self._database)
        self.counts = RecordCounts(self._database)
        self.overview = StateOverview(self._database)

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is stored together or not at all."""
        return self._database.transaction()

    def setting(self, name: str, default: str) -> str:
        """A value that is chosen once and kept with the state."""
        return self._database.setting(name, default)

    def clear(self) -> None:
        """Remove everything but the settings and the counters: ids are not given twice."""
        self.overview.clear()
        self._open()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def profile(self, client_id: int) -> Json | None:
        """A profile as the API shows it, or None."""
        found = self.profiles.get(client_id)
        return None if found is None else self.details(found)

    def details(self, profile: StoredProfile, previous: Iterable[object] = ()) -> Json:
        """A profile with its tags, as the API shows it."""
        return profile_rules.details(profile, self.tags.names(profile.client_id), self._shape, previous)

    def all_details(self, profiles: Iterable[StoredProfile]) -> Iterator[Json]:
        """Several profiles as the API shows them; their tags are read for a thousand at a time."""
        remaining = iter(profiles)
        while page := list(islice(remaining, 1000)):
            tags = self.tags.of_profiles([profile.client_id for profile in page])
            for profile in page:
                names = [tag["name"] for tag in tags.get(profile.client_id, ())]
                yield profile_rules.details(profile, names, self._shape)
