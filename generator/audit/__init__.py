"""The audit: the publisher's reference text held against the bundle, operation by operation."""
