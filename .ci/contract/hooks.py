"""Who asks, and names of things that exist.

A schema says how a name is written, and not which names there are. A request that is right in every other way would be refused for a role,
a plan or a tenant that nobody has. So where a part of a request fits its schema, names in it are made to be names of something. Parts that
break their schema on purpose are sent as they are.
"""

import os
import secrets
import time
import uuid
from datetime import datetime, timedelta, timezone

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

URL = os.environ["PLINTH_URL"]
# key, token or nobody
WHO = os.environ["PLINTH_AS"]


api = requests.Session()


def call(method, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = api.request(method, URL + path, json=body, headers=headers, timeout=20)
    response.raise_for_status()
    return response.json()


class Owner:
    """An owner and a tenant of its own, on the plan without limits."""

    def __init__(self):
        person = {"email": f"{secrets.token_hex(8)}@example.com", "password": secrets.token_hex(16)}
        made = call("POST", "/v1/auth/register", person)
        self.tenant, token = made["tenant"]["id"], made["access_token"]
        call("POST", "/v1/subscription/change", {"plan": "enterprise"}, token)
        if WHO == "key":
            token = call("POST", "/v1/api-keys", {"name": "contract", "scopes": ["*"]}, token)["key"]
        self.credential = token

    def still_may(self):
        try:
            tenant = call("GET", "/v1/me", token=self.credential)["tenant"]
        except requests.HTTPError:
            return False
        return tenant is not None and tenant["status"] != "archived" and tenant["plan"] == "enterprise"


owners = []
checked = 0.0


def current():
    """The owner, or another one when the run has archived its tenant, revoked its key or changed its plan."""
    global checked
    now = time.monotonic()
    if now - checked > 0.1:
        checked = now
        if not owners or not owners[-1].still_may():
            owners.append(Owner())
    return owners[-1]


def tenant_of(case):
    """The tenant of whoever asks; any tenant when nobody does."""
    shown = (case.headers or {}).get("Authorization", "")
    return next((owner.tenant for owner in owners if shown == f"Bearer {owner.credential}"), str(uuid.uuid4()))


if WHO != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Credential:
        def get(self, case, context):
            return current()

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {data.credential}"
            # One credential: the API refuses two that differ.
            case.headers.pop("X-API-Key", None)


def fits(case, location):
    part = case.meta.components.get(location) if case.meta else None
    return part is not None and part.mode.is_positive


def in_a_day():
    return (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()


def a_day_ago():
    return (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()


# By field: what to put there instead, when there is anything.
NAMES = {
    "role": lambda: "viewer",
    "roles": lambda: ["viewer"],
    "scopes": lambda: ["project.read"],
    "permissions": lambda: "project.read",
    "timezone": lambda: "Europe/Paris",
    "expires_at": in_a_day,
    "project_id": lambda: None,
    "environment": lambda: None,
    "environment_id": lambda: None,
    "plan": lambda: "enterprise",
}


def name_things_in(body, operation):
    for field in NAMES.keys() & body.keys():
        if body[field] is not None and not operation.startswith("events"):
            body[field] = NAMES[field]()
    if operation == "quota_reservations_reserve":
        body["key"] = "tasks_per_month"
    if body.get("aggregation") == "unique" and body.get("value_field") is None:
        body["value_field"] = "user_id"
    if body.get("dimensions") is not None:
        body["dimensions"] = list(dict.fromkeys(body["dimensions"]))
    if operation == "admin_tenants_put_override":
        # Only a grace has terms, and only some kinds a metric or a value.
        body.update(kind="limit", metric=None, value=None)
        if body.get("enforcement") in ("hard", "soft"):
            body.update(grace_percent=None, grace_seconds=None)
        elif body.get("enforcement") == "grace" and body.get("grace_percent") is None:
            body["grace_percent"] = 10


def ask_about_things_in(query):
    # A place in a list is given by the list, and links lead to the second page.
    for field in ("cursor", "to", "strict"):
        query.pop(field, None)
    for field, name in {"metric": "tokens", "timezone": "Europe/Paris", "from": a_day_ago()}.items():
        if field in query:
            query[field] = name


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = case.operation.definition.raw.get("operationId", "")
    if WHO == "nobody" and case.headers and "Authorization" in case.headers:
        case.headers.pop("X-API-Key", None)
    if fits(case, ParameterLocation.HEADER) and case.headers:
        if "X-Tenant-ID" in case.headers:
            case.headers["X-Tenant-ID"] = tenant_of(case)
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
        if "If-Match" in case.headers:
            case.headers["If-Match"] = "*"
    if fits(case, ParameterLocation.QUERY) and case.query:
        ask_about_things_in(case.query)
    if fits(case, ParameterLocation.PATH) and case.path_parameters:
        for name, value in case.path_parameters.items():
            if value is None or value == "null":
                # The upcoming invoice has no id, and one is looked for in it.
                case.path_parameters[name] = str(uuid.uuid4())
            elif name == "kind":
                case.path_parameters[name] = "agents"
    if fits(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        name_things_in(case.body, operation)
