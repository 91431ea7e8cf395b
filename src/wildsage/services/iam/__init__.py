"""Identity and Access Management: users, keys, roles, policies, and what policies let through."""

from __future__ import annotations

from wildsage.services.iam import (
    access_keys,
    attachments,
    instance_profiles,
    policies,
    roles,
    simulation,
    users,
)
from wildsage.wire.registry import Handler

OPERATIONS: dict[str, Handler] = {
    **users.OPERATIONS,
    **access_keys.OPERATIONS,
    **roles.OPERATIONS,
    **policies.OPERATIONS,
    **attachments.OPERATIONS,
    **instance_profiles.OPERATIONS,
    **simulation.OPERATIONS,
}
