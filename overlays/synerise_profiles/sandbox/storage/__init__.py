"""The state of the sandbox: SQLite stores, and what is kept in memory (delayed and dropped writes, the mailbox)."""
