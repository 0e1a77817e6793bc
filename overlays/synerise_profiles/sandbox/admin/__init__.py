"""What is not of the API: the control endpoints, the start page, faults on demand, the logs that tests read."""
