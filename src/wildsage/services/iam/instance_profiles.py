"""Instance profiles: a role in a wrapping, which some tools insist on."""

from __future__ import annotations

from typing import Any

from wildsage import arns, ids
from wildsage.services.iam.entities import (
    PROFILE,
    ROLE,
    account_scope,
    already_exists,
    delete_conflict,
    every,
    find,
    limit_exceeded,
    modify_state,
    no_such_entity,
    page,
    under_path,
)
from wildsage.services.iam.roles import describe as describe_role
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists
from wildsage.store.resources import Resource


def create_instance_profile(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name, path, scope = request["InstanceProfileName"], request.get("Path", "/"), account_scope(ctx)
    try:
        profile = ctx.platform.resources.create(
            PROFILE,
            scope,
            name,
            arn=arns.build_global("iam", scope.account, f"instance-profile{path}{name}"),
            status="Active",
            document={"Path": path, "State": {"Id": ids.access_key_id("AIPA"), "Roles": []}},
            tags=request.get("Tags", ()),
        )
    except AlreadyExists as error:
        raise already_exists(PROFILE, name) from error
    return {"InstanceProfile": _describe(ctx, profile)}


def get_instance_profile(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"InstanceProfile": _describe(ctx, find(ctx, PROFILE, request["InstanceProfileName"]))}


def list_instance_profiles(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    found = under_path(every(ctx.platform.resources, PROFILE, account_scope(ctx)), request)
    profiles, truncation = page(request, found, lambda profile: profile.name)
    return {"InstanceProfiles": [_describe(ctx, profile) for profile in profiles], **truncation}


def list_instance_profiles_for_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    role = find(ctx, ROLE, request["RoleName"])
    names, truncation = page(request, sorted(role.document["State"].get("Profiles", [])), str)
    profiles = [_describe(ctx, find(ctx, PROFILE, name)) for name in names]
    return {"InstanceProfiles": profiles, **truncation}


def delete_instance_profile(ctx: Ctx, request: dict[str, Any]) -> None:
    profile = find(ctx, PROFILE, request["InstanceProfileName"])
    if profile.document["State"]["Roles"]:
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise delete_conflict(text)
    ctx.platform.resources.delete(profile)


def add_role_to_instance_profile(ctx: Ctx, request: dict[str, Any]) -> None:
    profile = find(ctx, PROFILE, request["InstanceProfileName"])
    role = find(ctx, ROLE, request["RoleName"])

    def add(state: dict[str, Any]) -> dict[str, Any]:
        if state["Roles"]:
            raise limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        return {"Roles": [role.name]}

    modify_state(ctx, profile, add)
    modify_state(ctx, role, lambda state: {"Profiles": [*state.get("Profiles", []), profile.name]})


def remove_role_from_instance_profile(ctx: Ctx, request: dict[str, Any]) -> None:
    profile = find(ctx, PROFILE, request["InstanceProfileName"])
    role = find(ctx, ROLE, request["RoleName"])

    def remove(state: dict[str, Any]) -> dict[str, Any]:
        if role.name not in state["Roles"]:
            text = f"Role {role.name} in Instance Profile {profile.name} cannot be found."
            raise no_such_entity(text)
        return {"Roles": []}

    modify_state(ctx, profile, remove)
    modify_state(
        ctx,
        role,
        lambda state: {"Profiles": [n for n in state.get("Profiles", []) if n != profile.name]},
    )


def _describe(ctx: Ctx, profile: Resource) -> dict[str, Any]:
    state = profile.document["State"]
    return {
        "Path": profile.document["Path"],
        "InstanceProfileName": profile.name,
        "InstanceProfileId": state["Id"],
        "Arn": profile.arn,
        "CreateDate": profile.created,
        "Roles": [describe_role(find(ctx, ROLE, name)) for name in state["Roles"]],
    }


OPERATIONS = {
    "CreateInstanceProfile": create_instance_profile,
    "GetInstanceProfile": get_instance_profile,
    "ListInstanceProfiles": list_instance_profiles,
    "ListInstanceProfilesForRole": list_instance_profiles_for_role,
    "DeleteInstanceProfile": delete_instance_profile,
    "AddRoleToInstanceProfile": add_role_to_instance_profile,
    "RemoveRoleFromInstanceProfile": remove_role_from_instance_profile,
}
