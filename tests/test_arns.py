from __future__ import annotations

import pytest

from wildsage import arns
from wildsage.arns import Arn, Scope


def test_a_regional_arn() -> None:
    built = arns.build("sagemaker", Scope("123456789012", "eu-west-1"), "training-job/x")
    assert built == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/x"


def test_a_global_arn_has_no_region() -> None:
    assert arns.build_global("iam", "123456789012", "role/r") == "arn:aws:iam::123456789012:role/r"


def test_what_is_built_is_parsed() -> None:
    text = arns.build("logs", Scope(), "log-group:/a/b:*")
    assert arns.parse(text) == Arn("aws", "logs", "us-east-1", "000000000000", "log-group:/a/b:*")
    assert str(arns.parse(text)) == text


@pytest.mark.parametrize("text", ["", "arn:aws:s3", "urn:aws:a:b:c:d"])
def test_what_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ARN"):
        arns.parse(text)
