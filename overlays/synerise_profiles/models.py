"""The generated models under this package's own name: `from synerise_profiles.models import ProfileInput`.

They are loaded one by one, when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synerise_profiles_api import models as _models

if TYPE_CHECKING:
    from synerise_profiles_api.models import *  # noqa: F403
else:
    __all__ = list(_models.__all__)

    def __getattr__(name: str) -> object:
        return getattr(_models, name)

    def __dir__() -> list[str]:
        return sorted(__all__)
