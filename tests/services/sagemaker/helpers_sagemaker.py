"""Call SageMaker's handlers as the wire does, without a wire."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wildsage.arns import Scope
from wildsage.jobs.engine import Engine
from wildsage.router.table import RouteTable
from wildsage.services import sagemaker
from wildsage.services.platform import Ctx, Platform
from wildsage.settings import Settings
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.metrics import Metrics
from wildsage.store.objects.store import Objects
from wildsage.store.resources import Resources
from wildsage.wire.context import Context, Principal

# A role of another account, as old scripts carry it: there is nothing here to look up.
ROLE = "arn:aws:iam::210987654321:role/SageMakerRole"
IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
POLLER = "Boto3/1 lib/AWS-SageMaker-Python-SDK#2.257.7"
SCOPE = Scope()


class Desk:
    """A platform in one folder, and a caller at its counter."""

    def __init__(self, home: Path) -> None:
        self.home = home
        database = Database(f"sqlite:///{home / 'wildsage.db'}")
        database.migrate()
        changes = Changes()
        resources = Resources(database, changes)
        self.platform = Platform(
            settings=Settings(home=home, patience=10.0),
            database=database,
            resources=resources,
            changes=changes,
            objects=Objects(database, home / "objects"),
            logs=Logs(database, home / "logs"),
            metrics=Metrics(database),
            engine=Engine(resources, changes, []),
            routes=RouteTable(),
        )
        self.resources = resources
        self.objects = self.platform.objects
        self.objects.create_bucket(SCOPE, "bucket")
        self.scope = SCOPE

    def close(self) -> None:
        self.objects.close()
        self.platform.database.close()

    def context(self, operation: str, user_agent: str = "Boto3") -> Ctx:
        principal = Principal("arn:aws:iam::000000000000:root", "root", self.scope.account, "AK")
        return Context(
            platform=self.platform,
            scope=self.scope,
            principal=principal,
            service="sagemaker",
            operation=operation,
            request_id="r",
            user_agent=user_agent,
            source_ip="127.0.0.1",
            host="127.0.0.1",
            headers={},
        )

    def call(self, operation: str, user_agent: str = "Boto3", /, **request: Any) -> dict[str, Any]:
        answer = asyncio.run(self.acall(operation, user_agent, request))
        assert isinstance(answer, dict)
        return answer

    async def acall(
        self, operation: str, user_agent: str = "Boto3", request: Mapping[str, Any] | None = None
    ) -> Any:
        handler: Any = sagemaker.OPERATIONS[operation]
        answer = handler(self.context(operation, user_agent), dict(request or {}))
        return (await answer if inspect.isawaitable(answer) else answer) or {}

    def elsewhere(self, region: str) -> Desk:
        twin = object.__new__(Desk)
        twin.__dict__ = {**self.__dict__, "scope": replace_region(self.scope, region)}
        return twin


def replace_region(scope: Scope, region: str) -> Scope:
    return scope._replace(region=region)


def settings_with(platform: Platform, **changes: Any) -> Platform:
    return replace(platform, settings=replace(platform.settings, **changes))


def training_request(name: str = "job", **changes: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"k": "2", "feature_dim": "2"},
    }
    return request | changes


def channel(uri: str, name: str = "train", **source: Any) -> dict[str, Any]:
    data = {"S3DataType": "S3Prefix", "S3Uri": uri} | source
    return {"ChannelName": name, "DataSource": {"S3DataSource": data}}
