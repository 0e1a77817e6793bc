"""`client.exports` is the generated resource and more: on one object, the same for both clients, loaded when used."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.exports import AsyncExport, AsyncExportsClient, Export, ExportsClient
from synerise_profiles_api.resources import AsyncResources, Resources
from synerise_profiles_api.resources import exports as generated
from tests.exports.support import Server, order


def _public(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


@pytest.mark.parametrize(("client", "resources"), [(Synerise, Resources), (AsyncSynerise, AsyncResources)])
def test_an_overlay_extends_the_generated_resource(client: type, resources: type) -> None:
    """A resource that a client replaces is a subclass of the generated one, so that no operation is lost."""
    replaced = {name for name in vars(resources) if getattr(client, name) is not vars(resources)[name]}
    replaced = {name for name in replaced if isinstance(getattr(client, name), functools.cached_property)}
    assert "exports" in replaced
    with Synerise(token="t") as sync:
        built = {Synerise: sync, AsyncSynerise: AsyncSynerise(token="t")}[client]
        for name in replaced:
            assert isinstance(getattr(built, name), type(getattr(_Bare[client](), name)))


class _BareSync(Resources):
    pass


class _BareAsync(AsyncResources):
    pass


_Bare: dict[type, Any] = {Synerise: _BareSync, AsyncSynerise: _BareAsync}


def test_the_operations_are_still_there() -> None:
    """What the spec has is inherited, what is added does not hide it, and it still works."""
    for own, inherited in ((ExportsClient, generated.Exports), (AsyncExportsClient, generated.AsyncExports)):
        assert issubclass(own, inherited)
        assert set(_public(own)) == {"run", "resume"}
    with Server(statuses=["QUEUED"]).client() as client:
        assert client.exports.create(order()).task_id == "t-1"
        assert client.exports.get_status("t-1").status == "QUEUED"
        assert client.exports.get_data("t-1", offset=0, limit=1) == []


def test_sync_and_async_are_the_same() -> None:
    """Methods, arguments and docstrings are equal; only the waiting differs."""
    for sync, asynchronous in ((ExportsClient, AsyncExportsClient), (Export, AsyncExport)):
        methods, twins = _public(sync), _public(asynchronous)
        assert list(methods) == list(twins)
        for name, method in methods.items():
            twin = twins[name]
            assert inspect.signature(method).parameters == inspect.signature(twin).parameters
            assert method.__doc__ == twin.__doc__
            assert inspect.iscoroutinefunction(twin) is (name != "pages")


def test_a_copy_has_its_own() -> None:
    """`with_options` gives a copy whose exports use its options."""
    with Server().client() as client:
        assert client.exports is client.exports
        assert client.with_options(timeout=1).exports is not client.exports


def test_it_is_loaded_when_it_is_used() -> None:
    """A client that exports nothing pays nothing, and one that writes no Arrow does without pyarrow."""
    code = (
        "import sys, anyio\nbefore = set(sys.modules)\n"
        "from synerise_profiles import Synerise\nclient = Synerise(token='t')\n"
        "assert not any(name.startswith('synerise_profiles.exports') for name in sys.modules)\n"
        "client.exports\nassert 'synerise_profiles.exports' in sys.modules\n"
        "more = sys.modules.keys() - before\n"
        "assert not {'pyarrow', 'synerise_profiles.exports.writers', 'anyio.to_thread'} & more, 'too much'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
