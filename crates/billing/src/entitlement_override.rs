//! Overrides: what operators give one tenant besides its plan, or instead of it.
//!
//! Only somebody with `entitlement.override` over the whole deployment gives them. A tenant's own roles and keys never do, whatever they
//! hold: a permission in a tenant is none over the deployment.

use audit::{Crud, NewEvent, Target};
use kernel::{Denied, FieldError, Principal, StoreError, TenantId, text};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Cycle, Enforcement, Grant, Kind, Override, Store, permissions, subscription, take};

/// The longest time that a grace can last.
pub const LONGEST_GRACE: Duration = Duration::days(366);
/// The most percent of a limit that a grace can reach beyond it.
pub const FURTHEST_GRACE: u16 = 1000;

/// What an operator wants. What is left open is as the tenant's plan has it, or as usual where the plan does not name the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOverride {
    /// What it is about.
    pub key: String,
    /// The most that is allowed; `None` is unlimited.
    pub maximum: Option<i64>,
    /// How it is counted. `max_…` is always a limit, anything else is a quota when nobody says otherwise.
    pub kind: Option<Kind>,
    /// The meter that a quota counts.
    pub metric: Option<String>,
    /// The value of a static entitlement.
    pub value: Option<Value>,
    /// What a quota starts anew with.
    pub cycle: Option<Cycle>,
    /// What happens at the limit.
    pub enforcement: Option<Enforcement>,
    /// Why: at most 1,000 characters. Goes into the audit trail.
    pub reason: Option<String>,
    /// From this instant on the plan counts again.
    pub expires_at: Option<OffsetDateTime>,
}

/// Why an override was not given, removed or listed.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// The principal is no operator who may.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NoTenant,
    /// The tenant has no override of this key.
    #[error("there is no such override")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives a tenant an override, in place of the one it had of this key. It is in force with the commit. Needs `entitlement.override` over
/// the deployment.
///
/// # Errors
/// See [`OverrideError`].
pub fn put(
    store: &mut dyn Store,
    tenant_id: TenantId,
    new: NewOverride,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Override, OverrideError> {
    by.may_globally(&permissions::ENTITLEMENT_OVERRIDE)?;
    check(&new, now)?;
    open(store, tenant_id)?;
    let before = store.overrides(tenant_id, Some(&new.key))?.pop();
    let granted = store.granted(tenant_id, Some(&new.key), now)?;
    let given = resolve(new, granted.by_plan.into_iter().next())?;
    if before.as_ref() == Some(&given) {
        return Ok(given);
    }
    store.put_override(tenant_id, &given)?;
    let crud = if before.is_some() {
        Crud::Update
    } else {
        Crud::Create
    };
    let event = event(tenant_id, "entitlement.override_set", crud, &given, by, now);
    store.record(with_diff(event, before.as_ref(), Some(&given)))?;
    // A limit may have come down to the use.
    take::taken(store, tenant_id, &given.grant.key, now)?;
    Ok(given)
}

/// Takes an override away: the plan counts again. Needs `entitlement.override` over the deployment.
///
/// # Errors
/// See [`OverrideError`].
pub fn remove(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), OverrideError> {
    by.may_globally(&permissions::ENTITLEMENT_OVERRIDE)?;
    check_key(key)?;
    open(store, tenant_id)?;
    let before = store
        .overrides(tenant_id, Some(key))?
        .pop()
        .ok_or(OverrideError::NotFound)?;
    store.delete_override(tenant_id, key)?;
    let action = "entitlement.override_removed";
    let event = event(tenant_id, action, Crud::Delete, &before, by, now);
    store.record(with_diff(event, Some(&before), None))?;
    take::taken(store, tenant_id, key, now)?;
    Ok(())
}

/// Every override of a tenant by key, expired or not. Needs `entitlement.override` over the deployment.
///
/// # Errors
/// See [`OverrideError`].
pub fn list(
    store: &mut dyn Store,
    tenant_id: TenantId,
    by: &Principal,
) -> Result<Vec<Override>, OverrideError> {
    by.may_globally(&permissions::ENTITLEMENT_OVERRIDE)?;
    if !store.has_tenant(tenant_id)? {
        return Err(OverrideError::NoTenant);
    }
    Ok(store.overrides(tenant_id, None)?)
}

/// Takers of this moment count with the limit of before or of after, and never with both.
fn open(store: &mut dyn Store, tenant_id: TenantId) -> Result<(), OverrideError> {
    if !store.has_tenant(tenant_id)? {
        return Err(OverrideError::NoTenant);
    }
    store.lock_tenant(tenant_id)?;
    Ok(())
}

fn check_key(key: &str) -> Result<(), FieldError> {
    if key.is_empty() {
        return Err(FieldError::new("key", "required", "must not be empty"));
    }
    text::check("key", key, 255)
}

fn check(new: &NewOverride, now: OffsetDateTime) -> Result<(), FieldError> {
    check_key(&new.key)?;
    if let Some(maximum) = new.maximum {
        subscription::check_quantity("limit", maximum, 0)?;
    }
    if let Some(metric) = &new.metric {
        text::check("metric", metric, 64)?;
    }
    if let Some(reason) = &new.reason {
        text::check("reason", reason, 1000)?;
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        let message = "must be in the future";
        return Err(FieldError::new("expires_at", "in_the_past", message));
    }
    let Some(grace) = new.enforcement.and_then(Enforcement::grace) else {
        return Ok(());
    };
    if grace
        .percent
        .is_some_and(|percent| !(1..=FURTHEST_GRACE).contains(&percent))
    {
        let message = "must be from 1 to 1000 percent";
        return Err(FieldError::new("grace_percent", "out_of_range", message));
    }
    let bounds = Duration::SECOND..=LONGEST_GRACE;
    if grace.lasts.is_some_and(|lasts| !bounds.contains(&lasts)) {
        let message = "must be from 1 to 31622400 seconds";
        return Err(FieldError::new("grace_seconds", "out_of_range", message));
    }
    Ok(())
}

/// Fills in what was left open.
fn resolve(new: NewOverride, by_plan: Option<Grant>) -> Result<Override, FieldError> {
    let is_gauge = new.key.starts_with("max_");
    let usual = if is_gauge { Kind::Limit } else { Kind::Quota };
    let like = by_plan.unwrap_or_else(|| Grant::new(new.key.clone(), usual, None));
    let kind = new.kind.unwrap_or(like.kind);
    if is_gauge && kind != Kind::Limit {
        let message = "must be limit: max_… counts things";
        return Err(FieldError::new("kind", "not_countable", message));
    }
    let metric = new.metric.or(like.metric).filter(|_| kind == Kind::Quota);
    Ok(Override {
        grant: Grant {
            key: new.key,
            kind,
            maximum: new.maximum,
            metric,
            value: new.value.or(like.value).filter(|_| kind == Kind::Static),
            cycle: new.cycle.unwrap_or(like.cycle),
            enforcement: new.enforcement.unwrap_or(like.enforcement),
        },
        // As stores keep it: to the microsecond.
        expires_at: new
            .expires_at
            .map(|at| at.replace_microsecond(at.microsecond()).unwrap_or(at)),
        reason: new.reason,
    })
}

fn event(
    tenant_id: TenantId,
    action: &'static str,
    crud: Crud,
    given: &Override,
    by: &Principal,
    now: OffsetDateTime,
) -> NewEvent {
    let key = &given.grant.key;
    let target = Target::new("entitlement", key, key.clone());
    NewEvent::new(tenant_id, action, crud, target, by, now)
}

fn with_diff(event: NewEvent, before: Option<&Override>, after: Option<&Override>) -> NewEvent {
    let values = |one: Option<&Override>| one.map_or_else(Vec::new, told);
    let (before, after) = (values(before), values(after));
    let names = before.iter().chain(&after).map(|(name, _)| *name);
    let value = |of: &[(&'static str, Value)], name: &str| {
        let found = of.iter().find(|(other, _)| *other == name);
        found.map_or(Value::Null, |(_, value)| value.clone())
    };
    names.fold(event, |event, name| {
        let (old, new) = (value(&before, name), value(&after, name));
        if old == new {
            event
        } else {
            event.changed(name, old, new)
        }
    })
}

/// What the trail says of an override.
fn told(given: &Override) -> Vec<(&'static str, Value)> {
    let grant = &given.grant;
    let grace = grant.enforcement.grace();
    vec![
        // As on the wire: −1 is unlimited.
        ("limit", json!(grant.maximum.unwrap_or(-1))),
        ("kind", json!(grant.kind.as_str())),
        ("metric", json!(grant.metric)),
        ("value", json!(grant.value)),
        ("period", json!(grant.cycle.as_str())),
        ("enforcement", json!(grant.enforcement.as_str())),
        (
            "grace_percent",
            json!(grace.and_then(|grace| grace.percent)),
        ),
        (
            "grace_seconds",
            json!(
                grace
                    .and_then(|grace| grace.lasts)
                    .map(Duration::whole_seconds)
            ),
        ),
        (
            "expires_at",
            json!(given.expires_at.and_then(|at| at.format(&Rfc3339).ok())),
        ),
        ("reason", json!(given.reason)),
    ]
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 0:00 UTC);

    fn new(key: &str) -> NewOverride {
        NewOverride {
            key: key.to_owned(),
            maximum: Some(5),
            kind: None,
            metric: None,
            value: None,
            cycle: None,
            enforcement: None,
            reason: None,
            expires_at: None,
        }
    }

    #[test]
    fn what_is_left_open_is_as_the_plan_has_it() {
        let plan = Grant {
            metric: Some("task_completed".into()),
            cycle: Cycle::CalendarDay,
            enforcement: Enforcement::Soft,
            ..Grant::new("tasks", Kind::Quota, Some(1))
        };
        let given = resolve(new("tasks"), Some(plan.clone())).unwrap().grant;
        let expected = Grant {
            maximum: Some(5),
            ..plan
        };
        assert_eq!(given, expected);
        let kind = |key: &str| resolve(new(key), None).unwrap().grant.kind;
        assert_eq!(
            (kind("max_agents"), kind("tasks")),
            (Kind::Limit, Kind::Quota)
        );
    }

    #[test]
    fn what_is_counted_as_things_stays_a_limit() {
        let wrong = NewOverride {
            kind: Some(Kind::Boolean),
            ..new("max_agents")
        };
        assert_eq!(resolve(wrong, None).unwrap_err().code, "not_countable");
    }

    #[test]
    fn an_override_breaks_no_rule() {
        let refused = |change: fn(&mut NewOverride)| {
            let mut one = new("tasks");
            change(&mut one);
            check(&one, NOW).unwrap_err().field
        };
        assert_eq!(check(&new("tasks"), NOW), Ok(()));
        assert_eq!(refused(|one| one.key.clear()), "key");
        assert_eq!(refused(|one| one.maximum = Some(-2)), "limit");
        assert_eq!(refused(|one| one.expires_at = Some(NOW)), "expires_at");
        assert_eq!(refused(|one| one.reason = Some("x".repeat(1001))), "reason");
        let grace = |percent, lasts| Enforcement::parse("grace", percent, lasts);
        let mut one = new("tasks");
        for (enforcement, field) in [
            (grace(Some(0), None), "grace_percent"),
            (grace(Some(1001), None), "grace_percent"),
            (grace(None, Some(Duration::ZERO)), "grace_seconds"),
            (grace(None, Some(Duration::days(367))), "grace_seconds"),
        ] {
            one.enforcement = enforcement;
            assert_eq!(check(&one, NOW).unwrap_err().field, field);
        }
    }

    #[test]
    fn the_trail_tells_what_differs_and_nothing_else() {
        let before = resolve(new("max_agents"), None).unwrap();
        let after = Override {
            grant: Grant {
                maximum: None,
                ..before.grant.clone()
            },
            ..before.clone()
        };
        let by = Principal::system("test", None);
        let diff = |before: Option<&Override>, after: Option<&Override>| {
            let event = event(
                TenantId::new(NOW),
                "entitlement.override_set",
                Crud::Update,
                before.or(after).unwrap(),
                &by,
                NOW,
            );
            with_diff(event, before, after).diff.unwrap()
        };
        assert_eq!(
            diff(Some(&before), Some(&after)),
            json!({ "limit": [5, -1] })
        );
        let made = diff(None, Some(&before));
        assert_eq!(made["limit"], json!([null, 5]));
        assert_eq!(made["enforcement"], json!([null, "hard"]));
        assert_eq!(diff(Some(&before), None)["limit"], json!([5, null]));
    }
}
