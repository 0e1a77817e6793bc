"""Builders: a typed function for each event, and for transactions, their updates and their cancellation.

What they make can be sent by itself or in a batch. `client.builder()` has the same functions as methods, which tell the
time by the server's clock; here what is left out stays left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synerise_profiles_api.building import *  # noqa: F403 - the kinds of event
    from synerise_profiles_api.building.functions import *  # noqa: F403 - the generated functions
    from synerise_profiles_api.built import BuiltEvent as BuiltEvent
    from synerise_profiles_api.built import SaltChoice as SaltChoice

    from .amounts import Amount as Amount
    from .amounts import money as money
    from .builder import Builder as Builder
    from .builder import cancellation as cancellation
    from .builder import cancellation_of as cancellation_of
    from .builder import transaction as transaction
    from .builder import updated_transaction as updated_transaction
else:
    _MODULES = {
        "Amount": "synerise_profiles.events.amounts",
        "Builder": "synerise_profiles.events.builder",
        "BuiltEvent": "synerise_profiles_api.built",
        "SaltChoice": "synerise_profiles_api.built",
        "money": "synerise_profiles.events.amounts",
    }

    def __getattr__(name: str) -> Any:
        from importlib import import_module  # noqa: PLC0415 - nothing is loaded before it is used

        if name not in __dir__():
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
        from synerise_profiles_api import building  # noqa: PLC0415 - as above
        from synerise_profiles_api.building import functions  # noqa: PLC0415 - as above

        own = ("cancellation", "cancellation_of", "transaction", "updated_transaction")
        return sorted({*_MODULES, *building.__all__, *functions.__all__, *own})
