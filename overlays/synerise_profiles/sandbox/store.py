"""The state of a sandbox: one class a kind of record over one database."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from .bundle import Json
from .rules import profiles as profile_rules
from .rules.profiles import Profile
from .state.database import MEMORY, Database
from .state.events import Events, Transactions
from .state.profiles import Profiles
from .state.records import Records
from .state.tags import Tags


class Store:
    """Profiles, tags, events, transactions and other records; reading is safe from any thread."""

    def __init__(self, path: str = MEMORY) -> None:
        self._database = Database(path)
        self.profiles = Profiles(self._database)
        self.tags = Tags(self._database)
        self.events = Events(self._database)
        self.transactions = Transactions(self._database)
        self.records = Records(self._database)

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is stored together or not at all."""
        return self._database.transaction()

    def setting(self, name: str, default: str) -> str:
        """A value that is chosen once and kept with the state."""
        return self._database.setting(name, default)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def profile(self, client_id: int) -> Json | None:
        """A profile as the API shows it, or None."""
        found = self.profiles.get(client_id)
        return None if found is None else self.details(found)

    def details(self, profile: Profile, previous: Iterable[object] = ()) -> Json:
        """A profile with its tags, as the API shows it."""
        return profile_rules.details(profile, self.tags.names(profile.client_id), previous)

    def all_details(self, profiles: Iterable[Profile]) -> list[Json]:
        """Several profiles as the API shows them."""
        found = list(profiles)
        tags = self.tags.of_profiles([profile.client_id for profile in found])
        return [
            profile_rules.details(profile, [tag["name"] for tag in tags.get(profile.client_id, ())])
            for profile in found
        ]
