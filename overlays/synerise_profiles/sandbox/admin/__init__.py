"""What is not of the API and serves tests: the control API, the start page, injected faults, the request log."""
