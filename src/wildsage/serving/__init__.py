"""The model server inside an instance: /ping, /invocations and /execution-parameters."""
