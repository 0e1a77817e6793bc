"""The rules of the API as pure functions: permissions, matching, merging, values, events, transactions, passwords."""
