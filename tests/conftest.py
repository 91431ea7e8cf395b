"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, and no deadline: a busy machine fails no test by chance.
# `--hypothesis-profile=default` looks for new examples.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
