"""Builders: a typed function for each event, and for transactions, their updates and their cancellation.

What they make can be sent by itself or in a batch. `client.builder()` has the same functions as methods, which tell the
time by the server's clock; here a time that is left out stays left out. Names are loaded when they are first used, so
that an import costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synerise_profiles._validation.amounts import Amount, money
    from synerise_profiles_api.building import *  # noqa: F403 - the event classes
    from synerise_profiles_api.building.functions import *  # noqa: F403 - the function of each event
    from synerise_profiles_api.built import BuiltEvent, SaltChoice

    from .builder import Builder, cancellation, cancellation_of, transaction, updated_transaction

__all__ = [  # noqa: F405 - most names come with the two stars
    "AddedToCart",
    "AddedToFavorites",
    "Amount",
    "AppearedInLocation",
    "ApplicationStarted",
    "AssignedToCompany",
    "Builder",
    "BuiltEvent",
    "CancelledTransaction",
    "Custom",
    "EventBuilder",
    "HitTimer",
    "ItemSearchClick",
    "LoggedIn",
    "LoggedOut",
    "ProductView",
    "PushCancelled",
    "PushClicked",
    "PushReceived",
    "PushViewed",
    "RecommendationClick",
    "RecommendationSeen",
    "RecommendationView",
    "Registered",
    "RemovedFromCart",
    "SaltChoice",
    "Searched",
    "Shared",
    "VisitedScreen",
    "added_to_cart",
    "added_to_favorites",
    "appeared_in_location",
    "application_started",
    "assigned_to_company",
    "cancellation",
    "cancellation_of",
    "cancelled_transaction",
    "custom",
    "hit_timer",
    "item_search_click",
    "logged_in",
    "logged_out",
    "money",
    "product_view",
    "push_cancelled",
    "push_clicked",
    "push_received",
    "push_viewed",
    "recommendation_click",
    "recommendation_seen",
    "recommendation_view",
    "registered",
    "removed_from_cart",
    "searched",
    "shared",
    "transaction",
    "updated_transaction",
    "visited_screen",
]
_MODULES = {
    "Amount": "synerise_profiles._validation.amounts",
    "Builder": "synerise_profiles.events.builder",
    "BuiltEvent": "synerise_profiles_api.built",
    "SaltChoice": "synerise_profiles_api.built",
    "money": "synerise_profiles._validation.amounts",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module  # noqa: PLC0415 - nothing is loaded before it is used

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        building = import_module("synerise_profiles_api.building")
        if name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
        elif name in building.__all__:
            value = getattr(building, name)
        else:
            value = getattr(import_module("synerise_profiles.events.builder").CLOCKLESS_BUILDER, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
