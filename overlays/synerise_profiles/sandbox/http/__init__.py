"""HTTP without a connection: routing, messages, sign-in, validation of requests, rendering of answers, ASGI."""
