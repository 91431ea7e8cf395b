"""Amazon SageMaker: one module per resource family, merged here."""

from __future__ import annotations

from wildsage.services.sagemaker import endpoint_configs, endpoints, models, tags, training_jobs

OPERATIONS = {
    **training_jobs.OPERATIONS,
    **models.OPERATIONS,
    **endpoint_configs.OPERATIONS,
    **endpoints.OPERATIONS,
    **tags.OPERATIONS,
}
