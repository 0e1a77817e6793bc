"""What the sandbox remembers: SQLite in memory or in a file, one class a kind of record."""
