"""Every AWS service that is served here, and the package with its `OPERATIONS`, imported at first use."""

from __future__ import annotations

SERVICES = {
    "iam": "wildsage.services.iam",
    "kms": "wildsage.services.kms",
    "logs": "wildsage.services.logs",
    "s3": "wildsage.services.s3",
    "sagemaker": "wildsage.services.sagemaker",
    "sts": "wildsage.services.sts",
}
