//! Requests made from the contract: every operation that it names, and what to put where.

use reqwest::Method;
use serde_json::{Map, Value, json};

/// What an id is the id of. A text that is found by its own words, such as an address, is one as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Tenant,
    User,
    Email,
    Project,
    ProjectSlug,
    Environment,
    ApiKey,
    KeyText,
    Invitation,
    Role,
    Meter,
    Event,
    Cursor,
    Entitlement,
    Reservation,
    Resource,
    Invoice,
}

/// What a parameter or a field holds.
#[derive(Debug, Clone)]
pub(super) enum Fill {
    /// An id of the caller's tenant, or of another.
    Id(Kind),
    /// A list of one such id.
    Ids(Kind),
    /// Something that is nobody's.
    Plain(Value),
    /// A name that all tenants share on purpose, so that a taken one is told apart: a slug, an address that registers.
    Shared(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Body,
}

/// A parameter, or a field of the body.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) name: String,
    required: bool,
    pub(super) fill: Fill,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) secured: bool,
    pub(super) slots: Vec<Slot>,
    has_body: bool,
    statuses: Vec<String>,
}

/// A request that is ready but for who makes it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
}

/// Every operation below `/v1`; what cannot be filled is told by name.
pub(super) fn operations(document: &Value) -> Result<Vec<Operation>, Vec<String>> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/v1/")) {
        for (method, about) in item.as_object().unwrap() {
            let id = about["operationId"].as_str().unwrap();
            let (slots, missing) = slots(document, id, path, about);
            unknown.extend(missing.into_iter().map(|slot| format!("{id}: {slot}")));
            found.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                secured: about.get("security").is_none(),
                slots,
                has_body: about.get("requestBody").is_some(),
                statuses: about["responses"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect(),
            });
        }
    }
    if unknown.is_empty() {
        Ok(found)
    } else {
        Err(unknown)
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        return resolve(document, document.pointer(&name[1..]).unwrap());
    }
    // One form of several stands for all of them: null is none, and one event is as good as many.
    match schema["oneOf"].as_array() {
        Some(forms) => {
            let form = forms.iter().find(|form| form["type"] != "null").unwrap();
            resolve(document, form)
        }
        None => schema,
    }
}

fn slots(document: &Value, id: &str, path: &str, about: &Value) -> (Vec<Slot>, Vec<String>) {
    let (mut slots, mut missing) = (Vec::new(), Vec::new());
    let mut add = |place: Place, name: &str, required: bool, schema: &Value| {
        let fill = fill(id, path, name);
        let is_id = matches!(fill, Some(Fill::Id(_)));
        match fill {
            Some(fill) if is_id || schema["format"] != "uuid" => slots.push(Slot {
                place,
                name: name.to_owned(),
                required,
                fill,
            }),
            _ => missing.push(name.to_owned()),
        }
    };
    for parameter in about["parameters"].as_array().into_iter().flatten() {
        let place = match parameter["in"].as_str().unwrap() {
            "path" => Place::Path,
            "query" => Place::Query,
            _ => Place::Header,
        };
        let required = parameter["required"] == true;
        let schema = resolve(document, &parameter["schema"]);
        add(place, parameter["name"].as_str().unwrap(), required, schema);
    }
    let body = &about["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let body = resolve(document, body);
        let required = body["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in body["properties"].as_object().unwrap() {
            let required = required.contains(&json!(name));
            add(Place::Body, name, required, resolve(document, schema));
        }
    }
    (slots, missing)
}

/// What a parameter or a field of this name holds; nothing for a name that nobody has thought of.
fn fill(operation: &str, path: &str, name: &str) -> Option<Fill> {
    by_operation(operation, name)
        .or_else(|| of_path(path, name))
        .or_else(|| by_name(name))
}

fn by_operation(operation: &str, name: &str) -> Option<Fill> {
    Some(match (operation, name) {
        ("auth_register", "email") => Fill::Shared(json!("carol@example.org")),
        ("tenants_create" | "tenants_change", "slug") => Fill::Shared(json!("anns-other-place")),
        ("projects_create" | "projects_change", "slug") => Fill::Id(Kind::ProjectSlug),
        ("events_list" | "events_read", "source") => Fill::Plain(json!("plinth")),
        ("events_ingest", "id") => Fill::Id(Kind::Event),
        ("meters_create" | "meters_read" | "meters_change" | "meters_versions", "key") => {
            Fill::Id(Kind::Meter)
        }
        ("api_keys_verify", "key") => Fill::Id(Kind::KeyText),
        ("entitlements_check" | "quota_reservations_reserve" | "reservations_list", "key") => {
            Fill::Id(Kind::Entitlement)
        }
        ("admin_tenants_put_override" | "admin_tenants_remove_override", "key") => {
            Fill::Id(Kind::Entitlement)
        }
        ("projects_add_environment", "kind") => Fill::Plain(json!("dev")),
        ("projects_add_environment", "name") => Fill::Plain(json!("preview")),
        ("admin_tenants_transition", "verb") => Fill::Plain(json!("freeze")),
        _ => return None,
    })
}

fn of_path(path: &str, name: &str) -> Option<Fill> {
    if name != "id" {
        return None;
    }
    let kinds = [
        ("/v1/tenants/", Kind::Tenant),
        ("/v1/admin/tenants/", Kind::Tenant),
        ("/v1/projects/", Kind::Project),
        ("/v1/api-keys/", Kind::ApiKey),
        ("/v1/invitations/", Kind::Invitation),
        ("/v1/invoices/", Kind::Invoice),
        ("/v1/quota/reservations/", Kind::Reservation),
        ("/v1/events/", Kind::Event),
    ];
    let kind = kinds.iter().find(|(prefix, _)| path.starts_with(prefix));
    kind.map(|(_, kind)| Fill::Id(*kind))
}

fn by_name(name: &str) -> Option<Fill> {
    Some(match name {
        "X-Tenant-ID" => Fill::Id(Kind::Tenant),
        "user_id" | "actor" => Fill::Id(Kind::User),
        "project_id" | "target" => Fill::Id(Kind::Project),
        "environment" | "environment_id" => Fill::Id(Kind::Environment),
        "external_id" => Fill::Id(Kind::Resource),
        "metric" => Fill::Id(Kind::Meter),
        "email" => Fill::Id(Kind::Email),
        "role" => Fill::Id(Kind::Role),
        "roles" => Fill::Ids(Kind::Role),
        "cursor" => Fill::Id(Kind::Cursor),
        "Idempotency-Key" => Fill::Plain(json!("once")),
        "If-Match" => Fill::Plain(json!("*")),
        "kind" => Fill::Plain(json!("agents")),
        "name" => Fill::Plain(json!("Probe")),
        "password" => Fill::Plain(json!("none of theirs")),
        "refresh_token" | "token" => Fill::Plain(json!("nobody's")),
        "scopes" => Fill::Plain(json!(["project.read"])),
        "mode" => Fill::Plain(json!("live")),
        "permissions" => Fill::Plain(json!("project.read")),
        "expires_at" => Fill::Plain(json!("2099-01-01T00:00:00Z")),
        "occurred_at" => Fill::Plain(Value::Null),
        "overlap_seconds" | "ttl_seconds" => Fill::Plain(json!(60)),
        "quantity" => Fill::Plain(json!(1)),
        "plan" => Fill::Plain(json!("enterprise")),
        "when" => Fill::Plain(json!("now")),
        "aggregation" => Fill::Plain(json!("sum")),
        "unit" | "source" | "model" | "value_field" | "reason" => Fill::Plain(json!("probe")),
        "dimensions" => Fill::Plain(json!([])),
        "status" => Fill::Plain(json!("open")),
        "value" => Fill::Plain(json!({})),
        "period" => Fill::Plain(json!("calendar_day")),
        "enforcement" => Fill::Plain(json!("grace")),
        "grace_percent" | "grace_seconds" => Fill::Plain(json!(60)),
        "metadata" => Fill::Plain(json!({})),
        "allows_negative" | "strict" | "backfill" => Fill::Plain(json!(false)),
        "limit" => Fill::Plain(json!(2)),
        "days" => Fill::Plain(json!(7)),
        "action" => Fill::Plain(json!("*")),
        "from" => Fill::Plain(json!("2026-01-01T00:00:00Z")),
        "to" => Fill::Plain(json!("2099-01-01T00:00:00Z")),
        "granularity" => Fill::Plain(json!("day")),
        "filter" => Fill::Plain(json!({})),
        "group_by" => Fill::Plain(json!("project,user,model")),
        "timezone" => Fill::Plain(json!("UTC")),
        _ => return None,
    })
}

impl Operation {
    /// A request with what is required, and with `probed` when one is given; ids are what `id` says.
    pub(super) fn draft(&self, probed: Option<&Slot>, id: impl Fn(&Slot, Kind) -> String) -> Draft {
        let mut draft = Draft {
            path: self.path.clone(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        let mut body = Map::new();
        let is_probed = |slot: &Slot| {
            probed.is_some_and(|probed| probed.name == slot.name && probed.place == slot.place)
        };
        for slot in self
            .slots
            .iter()
            .filter(|slot| slot.required || is_probed(slot))
        {
            let value = match &slot.fill {
                Fill::Id(kind) => json!(id(slot, *kind)),
                Fill::Ids(kind) => json!([id(slot, *kind)]),
                Fill::Plain(value) | Fill::Shared(value) => value.clone(),
            };
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            match slot.place {
                Place::Path => {
                    draft.path = draft.path.replace(&format!("{{{}}}", slot.name), &text);
                }
                Place::Query => draft.query.push((slot.name.clone(), text)),
                Place::Header => draft.headers.push((slot.name.clone(), text)),
                Place::Body => {
                    body.insert(slot.name.clone(), value);
                }
            }
        }
        if self.has_body {
            draft.body = Some(Value::Object(body));
        }
        draft
    }

    /// Slots that hold an id.
    pub(super) fn ids(&self) -> impl Iterator<Item = (&Slot, Kind)> {
        self.slots.iter().filter_map(|slot| match slot.fill {
            Fill::Id(kind) | Fill::Ids(kind) => Some((slot, kind)),
            Fill::Plain(_) | Fill::Shared(_) => None,
        })
    }

    pub(super) fn has(&self, place: Place, name: &str) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.place == place && slot.name == name)
    }

    pub(super) fn documents(&self, status: u16) -> bool {
        self.statuses.contains(&status.to_string())
    }
}
