"""The bundle is a valid OpenAPI document by the standard's own schema."""

from __future__ import annotations

from collections.abc import Iterator

from openapi_spec_validator import OpenAPIV31SpecValidator

from generator.errors import Finding
from generator.spec.fragments import Bundle


def is_valid(bundle: Bundle) -> Iterator[Finding]:
    """OpenAPI 3.1, without a structural error."""
    version = bundle.document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        yield bundle.finding(("openapi",), "openapi", f"openapi must be a 3.1 version, not {version!r}")
        return
    for error in OpenAPIV31SpecValidator(bundle.document).iter_errors():
        pointer = tuple(str(part) for part in error.absolute_path)
        yield bundle.finding(pointer, "openapi", f"{'/'.join(pointer)}: {error.message[:200]}")
