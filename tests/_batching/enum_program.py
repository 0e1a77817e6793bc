"""Sends rows with members of an enum that has a `value` of its own on every road; prints what is said of each."""

from __future__ import annotations

import enum
import sys
import tempfile
from collections import OrderedDict, UserDict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from synerise_profiles import InvalidRequestError, Synerise


class Failing(enum.Enum):
    """Raises when it is asked."""

    A = 1

    @property
    def value(self) -> Any:
        raise RuntimeError("the value of a person")


class Own(enum.Enum):
    """Is its own value."""

    A = 1

    @property
    def value(self) -> Any:
        return self


class Asked(enum.Enum):
    """Raises when anything is asked of a member by this name."""

    A = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "value":
            raise RuntimeError("the value of a person")
        return super().__getattribute__(name)


class Looked(enum.Enum):
    """Looks its value up."""

    A = 1

    @property
    def value(self) -> Any:
        return {"A": "a"}[self.name]


def send(client: Synerise, row: dict[str, Any], folder: Path) -> list[str]:
    """Return what is said of a row on each road."""
    others = [{"customId": f"c{n}"} for n in range(20)]
    bulk, found = client.bulk.upsert_profiles, list[str]()
    letters: dict[str, Any] = {"dead_letter": folder / "rejected.jsonl", "dead_letter_mode": "replace"}
    many = [[row], [*others, row], iter([row]), iter([*others, row]), iter([*others, *others, row])]
    mappings = (OrderedDict[str, Any], MappingProxyType[str, Any], UserDict[str, Any])
    many += [[wrap(row)] for wrap in mappings] + [[*others, wrap(row)] for wrap in mappings]
    many += [[{**row, "attributes": wrap(row["attributes"])}] for wrap in mappings]
    for rows in many:
        found += [f"{item.field}: {item.reason}" for item in bulk(rows, **letters).rejected] or ["sent"]
    for rows in ([*others, row], [*others, MappingProxyType(row)]):
        synced = client.delta_sync.profiles(rows, key="customId", state=folder / f"state{len(found)}")
        found += [f"{item.field}: {item.reason}" for item in synced.sent.rejected] or ["sent"]
    event = OrderedDict(client={"customId": "x"}, action="a.b", label="l", attributes=row["attributes"])
    found += [f"{item.field}: {item.reason}" for item in client.bulk.send_events([event]).rejected] or ["sent"]
    with client.queue() as queue:
        for call in (
            lambda: client.profiles.upsert(row),
            lambda: client.profiles.upsert_batch([row]),
            lambda: queue.profiles.put(row),
            lambda: client.builder().custom(client={"customId": "x"}, action="a.b", params=row["attributes"]),
        ):
            try:
                call()
            except InvalidRequestError as error:
                found.append(f"attributes.{error.field.rpartition('.')[2]}: {error.problem}")
            else:
                found.append("sent")
    return found


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the server does."""
    is_time = request.url.path.endswith("/server/time")
    return httpx.Response(200, json={"serverTime": "2026-01-01T00:00:00.000Z"}) if is_time else httpx.Response(202)


def main() -> None:
    """Print the verdicts on a member of each enum, one line each."""
    with Synerise(token="t", base_url="http://localhost", transport=httpx.MockTransport(answer)) as client:
        for kind in (Failing, Asked, Own, Looked):
            with tempfile.TemporaryDirectory() as folder:
                row = {"customId": "odd", "attributes": {"v": [kind.A]}}
                sys.stdout.write(f"{kind.__name__} {' | '.join(sorted(set(send(client, row, Path(folder)))))}\n")


if __name__ == "__main__":
    main()
