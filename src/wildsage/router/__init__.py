"""The data path: from an invocation to a model server, past framework and database."""
