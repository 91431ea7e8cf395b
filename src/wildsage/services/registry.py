"""The AWS services that are served here, each with its package of `OPERATIONS`, imported lazily."""

from __future__ import annotations

SERVICES = {
    "iam": "wildsage.services.iam",
    "kms": "wildsage.services.kms",
    "logs": "wildsage.services.logs",
    "s3": "wildsage.services.s3",
    "sagemaker": "wildsage.services.sagemaker",
    "sts": "wildsage.services.sts",
}
