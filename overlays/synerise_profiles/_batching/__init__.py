"""Batches of rows: what bulk runs and the queue share. Not for import by users."""
