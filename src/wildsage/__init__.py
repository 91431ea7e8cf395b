"""wildsage: an open, self-hosted Amazon SageMaker. `docs/architecture.md` draws the house."""

__version__ = "0.1.0"
