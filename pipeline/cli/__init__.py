"""The command line: one file a command group; arguments in, app out; nothing heavy is imported before it is needed."""
