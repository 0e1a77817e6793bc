"""API consumers: who may call an operation, as the reference prints them and as x-synerise-consumers names them."""

from __future__ import annotations

CONSUMERS = {
    "Workspace (Business Profile)": "workspace",
    "Synerise User": "user",
    "Profile (Client)": "profile",
    "Anonymous Profile": "anonymous",
    "ANONYMOUS_CLIENT_CONDITIONAL": "profile-conditional",
    "Web SDK Tracker": "web-sdk",
    "AI API key (legacy)": "ai-key",
}
