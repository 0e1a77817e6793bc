"""For tests of programs that use the client: `plugin` is a pytest plugin, installed by the extra `[testing]`."""
