"""The commands, a module each or for few of a kind; `COMMANDS` of a module has them by name."""
