"""The API's HTTP: ASGI, messages, routing, authorization, validation of requests, rendering of responses."""
