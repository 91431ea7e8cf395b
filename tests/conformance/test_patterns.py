"""The models' regular expressions work here too."""

from __future__ import annotations

import pytest

from wildsage.wire.model import service_model
from wildsage.wire.patterns import compile_pattern


@pytest.mark.parametrize(
    "name", ["sagemaker", "sagemaker-runtime", "s3", "iam", "sts", "logs", "kms"]
)
def test_every_pattern_can_be_checked(name: str) -> None:
    model = service_model(name)._model
    patterns = {
        shape: model.shape_for(shape).metadata.get("pattern") for shape in model.shape_names
    }
    bad = {shape for shape, p in patterns.items() if p and compile_pattern(p) is None}
    assert bad == set()
