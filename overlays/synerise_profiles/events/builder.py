"""The builder: makes every event of the document, transactions, their updates and their cancellation.

The methods of the single events are generated (`EventBuilder`), and all of them call `_make`: one place that checks an
event and sets its time and salt.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, TypedDict, TypeVar

from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles._validation.amounts import Amount
from synerise_profiles._validation.plain_rows import read_once
from synerise_profiles._validation.rules import fields_of
from synerise_profiles._validation.unknown_names import refuse_reserved_names
from synerise_profiles.deprecations import DeprecationPolicy, warn_deprecated
from synerise_profiles_api.api.transactions import create
from synerise_profiles_api.building import CancelledTransaction, EventBuilder
from synerise_profiles_api.built import BuiltEvent, SaltChoice
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import ClientIdentifier, EventSource, Transaction, TransactionMetadata
from synerise_profiles_api.names import checks_names
from synerise_profiles_api.operations import load
from synerise_profiles_api.types import UNSET, Operation, Unset

from .checks import check_body, naming_operation
from .salt_and_time import ReadTimeBounds, checked_salt, salt_of, time_of
from .transactions import (
    CancelledItems,
    Payment,
    Products,
    cancellation_params,
    cancellation_params_of,
    purchase_fields,
    updated_fields,
)

__all__ = ["CLOCKLESS_BUILDER", "Builder", "cancellation", "cancellation_of", "transaction", "updated_transaction"]

E = TypeVar("E", bound=BuiltEvent)
CANCELLED_TAG: Final = "cancelled"
"""The free property that marks a cancelled item, where the caller names no other."""


class LabelArgument(TypedDict, total=False):
    """The keyword argument `label`, where one is given: without it, the default of the event is used."""

    label: str


class Builder(EventBuilder):
    """Builds events and transactions, checked by the rules of the document. Get one by `client.builder()`.

    `now` returns the server's time: then everything built has a time, and a time in the future is refused. Calling it
    may send GET /v4/server/time (no permission is needed), and then raises what a call raises. Without it, a time that
    is left out stays left out: a single event gets the time of its receipt, and `client.bulk` sets times and salts
    itself. `salt` is used where none is given; `deprecations` means what it means for a client.
    """

    def __init__(
        self,
        now: ReadTimeBounds | None = None,
        *,
        salt: SaltChoice | Unset = UNSET,
        deprecations: DeprecationPolicy = "warn",
    ) -> None:
        if salt is not UNSET:
            checked_salt(salt)
        self._stands_as = "events" if now is None else "builder"
        self._now = now
        self._salt = salt
        self._deprecations: DeprecationPolicy = deprecations

    def __repr__(self) -> str:
        return f"<Builder of events{'' if self._now is None else ', with times by the clock of the server'}>"

    @checks_names
    def transaction(
        self,
        *,
        client: ClientIdentifier | Mapping[str, Any],
        order_id: str,
        products: Products,
        payment: Payment,
        source: EventSource,
        revenue: Amount | Unset = UNSET,
        value: Amount | Unset = UNSET,
        discount: Amount | Unset = UNSET,
        metadata: TransactionMetadata | Mapping[str, Any] | Unset = UNSET,
        time: datetime.datetime | str | Unset = UNSET,
        salt: SaltChoice | Unset = UNSET,
    ) -> Transaction:
        """Build a purchase.

        Args:
            client: Who bought.
            order_id: Id of the order. Alone it does not make a transaction replaceable.
            products: The items. Their order stays: an update finds an item by its position.
            payment: The method of payment, such as CARD, or more about it.
            source: Where it happened.
            revenue: Total after taxes. Left out, it is the sum of finalUnitPrice times quantity; given, it must be.
            value: Total before taxes. Left out, it is the revenue.
            discount: How much the total was lowered; the prices are lower already.
            metadata: Anything more about the purchase.
            time: When it happened, with its zone; left out, it is now by the builder's clock.
            salt: Makes it replaceable: a text of your own, "content" or "unique"; needs a time.

        An amount is money, or a Decimal, text or int in the currency of the products.

        Raises:
            InvalidRequestError: The server would refuse it, or store it as something else.

        Operation:
            POST /v4/transactions, POST /v4/transactions/batch
        """
        fields = {
            "client": client,
            "metadata": metadata,
            "orderId": order_id,
            "paymentInfo": payment,
            "recordedAt": time,
            "source": source,
        }
        with naming_operation(create.OPERATION, order_id):
            made = purchase_fields(products, fields, revenue=revenue, value=value, discount=discount)
            return self._make_transaction(made, self._salt_choice(salt))

    @checks_names
    def updated_transaction(
        self,
        old: Transaction | Mapping[str, Any],
        *,
        products: Products | Unset = UNSET,
        payment: Payment | Unset = UNSET,
        source: EventSource | Unset = UNSET,
        revenue: Amount | Unset = UNSET,
        value: Amount | Unset = UNSET,
        discount: Amount | Unset | None = UNSET,
        metadata: TransactionMetadata | Mapping[str, Any] | Unset = UNSET,
        tag: str = CANCELLED_TAG,
    ) -> Transaction:
        """Build what overwrites a transaction that was sent: the same profile, order, time and salt, and the changes.

        A product.buy event belongs to the position of its item. So every item that was there keeps its position, by its
        SKU; new items follow; an item that is gone stays, with the free property `tag` set to true, and counts no more.

        Args:
            old: The transaction as it was sent.
            products: All items as they are now, in any order; left out, they stay.
            payment: The method of payment, or more about it; left out, it stays.
            source: Where it happened; left out, it stays.
            revenue: Total after taxes; left out, it is summed.
            value: Total before taxes; left out, it is the revenue.
            discount: How much the total was lowered; left out, it stays; None takes it away.
            metadata: Anything more; left out, it stays.
            tag: Name of the free property that marks items that are gone.

        Raises:
            InvalidRequestError: It cannot be overwritten, or the server would refuse it.

        Operation:
            POST /v4/transactions, POST /v4/transactions/batch
        """
        changes = {"paymentInfo": payment, "source": source, "metadata": metadata}
        with naming_operation(create.OPERATION):
            old = read_once(old, "transaction")
        with naming_operation(create.OPERATION, _order_id_of(old)):
            made = updated_fields(old, products, changes, revenue=revenue, value=value, discount=discount, tag=tag)
            return self._make_transaction(made, UNSET)

    @checks_names
    def cancellation(
        self,
        *,
        client: ClientIdentifier | Mapping[str, Any],
        order_id: str,
        products: Products,
        revenue: Amount | Unset = UNSET,
        value: Amount | Unset = UNSET,
        discount: Amount | Unset = UNSET,
        payment: Payment | Unset = UNSET,
        source: EventSource | Unset = UNSET,
        status: str | Unset = UNSET,
        label: str | Unset = UNSET,
        time: datetime.datetime | str | Unset = UNSET,
        salt: SaltChoice | Unset = UNSET,
    ) -> CancelledTransaction:
        """Build the event of a cancelled purchase, or of some items of one, with the totals of what was cancelled.

        Args:
            client: Who had bought.
            order_id: Id of the order.
            products: The items that were cancelled, with positive quantities.
            revenue: Total after taxes of these; summed if it is left out, else checked.
            value: Total before taxes of these; the revenue if it is left out.
            discount: The discount that is lost.
            payment: The method of payment, or more about it.
            source: Where it happened.
            status: Status of the order.
            label: A readable label; not stored.
            time: When it was cancelled, with its zone; left out, it is now by the builder's clock.
            salt: Makes it replaceable: a text of your own, "content" or "unique"; needs a time.

        Raises:
            InvalidRequestError: The server would refuse it, or store it as something else.

        Operation:
            POST /v4/events/cancelled-transaction, or `type` cancelled-transaction of a batch
        """
        given = {"orderId": order_id, "orderStatus": status, "source": source, "paymentInfo": payment}
        with naming_operation(_operation_of(CancelledTransaction), order_id):
            params = cancellation_params(products, given, revenue=revenue, value=value, discount=discount)
        return self.cancelled_transaction(client=client, params=params, time=time, salt=salt, **_label_argument(label))

    @checks_names
    def cancellation_of(
        self,
        sent: Transaction | Mapping[str, Any],
        *,
        items: CancelledItems | Unset = UNSET,
        status: str | Unset = UNSET,
        label: str | Unset = UNSET,
        time: datetime.datetime | str | Unset = UNSET,
        salt: SaltChoice | Unset = UNSET,
        tag: str = CANCELLED_TAG,
    ) -> CancelledTransaction:
        """Build the event that cancels a transaction that was sent, or some items of it.

        Args:
            sent: The transaction.
            items: Positions of the cancelled items, or a mapping from position to the cancelled quantity; left out, all
                that are not marked by `tag`.
            status: Status of the order.
            label: A readable label; not stored.
            time: When it was cancelled, with its zone; left out, it is now by the builder's clock.
            salt: Makes it replaceable: a text of your own, "content" or "unique"; needs a time.
            tag: Name of the free property that marks items that were cancelled before.

        Raises:
            InvalidRequestError: An item is not there, is cancelled already, or fewer were bought.

        Operation:
            POST /v4/events/cancelled-transaction, or `type` cancelled-transaction of a batch
        """
        with naming_operation(_operation_of(CancelledTransaction)):
            sent = read_once(sent, "transaction")
        with naming_operation(_operation_of(CancelledTransaction), _order_id_of(sent)):
            params = cancellation_params_of(sent, items, {"orderStatus": status}, tag)
        client = (fields_of(sent) or {}).get("client", {})
        return self.cancelled_transaction(client=client, params=params, time=time, salt=salt, **_label_argument(label))

    def _make(self, kind: type[E], fields: dict[str, Any], salt: SaltChoice | Unset) -> E:
        operation = _operation_of(kind)
        warn_deprecated(operation, self._deprecations, SYSTEM_TIMING.wall())  # in a batch nothing else would warn
        with naming_operation(operation):
            fields = {name: read_once(value, name) for name, value in fields.items()}
        with naming_operation(operation, _order_id_of(fields.get("params"))):
            time = fields["time"] = time_of(fields["time"], "time", self._now)
            wire = check_body(operation, fields)
            params: dict[str, Any] = wire.get("params", {})
            refuse_reserved_names(params, "params")
            email = wire["client"].get("email", UNSET)
            if email is not UNSET and params.get("email", email) != email:
                problem = "differs from client.email; it has to be the profile's own"
                raise InvalidRequestError(problem, field="params.email")
            event = kind.from_dict(fields)
            action = operation.action or str(wire.get("action", kind.event_type))
            event.event_salt = salt_of(self._salt_choice(salt), time, wire, action=action, time_field="time")
        return event

    def _make_transaction(self, fields: dict[str, Any], salt: SaltChoice | Unset) -> Transaction:
        time = fields["recordedAt"] = time_of(fields["recordedAt"], "recordedAt", self._now)
        wire = check_body(create.OPERATION, fields)
        made = Transaction.from_dict(fields)
        if made.event_salt is UNSET:
            made.event_salt = salt_of(salt, time, wire, action=create.OPERATION.resource, time_field="recordedAt")
        return made

    def _salt_choice(self, salt: SaltChoice | Unset) -> SaltChoice | Unset:
        return self._salt if salt is UNSET else salt


def _operation_of(kind: type[BuiltEvent]) -> Operation:
    resource, method = kind.sent_by.split(".")
    operation: Operation = load(resource, method).OPERATION
    return operation


def _order_id_of(fields: object) -> object:
    """Return the id of an order, by which an error names what could not be built; None where there is none."""
    found = (fields_of(fields) or {}).get("orderId")
    return found if isinstance(found, str) else None


def _label_argument(label: str | Unset) -> LabelArgument:
    return {} if label is UNSET else {"label": label}


CLOCKLESS_BUILDER: Final = Builder()
"""A builder without a clock, whose methods are the functions of `synerise_profiles.events`."""
transaction = CLOCKLESS_BUILDER.transaction
updated_transaction = CLOCKLESS_BUILDER.updated_transaction
cancellation = CLOCKLESS_BUILDER.cancellation
cancellation_of = CLOCKLESS_BUILDER.cancellation_of
