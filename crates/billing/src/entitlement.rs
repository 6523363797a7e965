//! Entitlements: what a plan, or an override, lets a tenant have, and how much of it is used.
//!
//! An override that has not expired wins over the plan, key by key. What neither names is not allowed at all.

use std::collections::BTreeMap;

use bigdecimal::{RoundingMode, ToPrimitive};
use kernel::{Allowance, Denied, FieldError, Principal, StoreError, TenantId, text};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Interval, Period, Store, permissions, subscription};

/// What a plan is called where a tenant has no subscription.
pub const NO_PLAN: &str = "none";

/// The kinds of entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// So many things at once.
    Limit,
    /// So much per month of the subscription.
    Quota,
    /// Yes or no.
    Boolean,
    /// A value that the host product reads.
    Static,
}

impl Kind {
    /// The kind as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Quota => "quota",
            Self::Boolean => "boolean",
            Self::Static => "static",
        }
    }

    /// Reads the text of [`Kind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Limit, Self::Quota, Self::Boolean, Self::Static]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One thing that a plan or an override gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it is about, such as `max_agents`.
    pub key: String,
    /// How it is counted.
    pub kind: Kind,
    /// The most that is allowed; `None` is unlimited. A boolean is on unless this is nought.
    pub maximum: Option<i64>,
    /// The meter that a quota counts; without one, what was settled counts.
    pub metric: Option<String>,
    /// The value of a static entitlement.
    pub value: Option<Value>,
}

/// A grant to one tenant that wins over its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What it gives.
    pub grant: Grant,
    /// From this instant on the plan counts again.
    pub expires_at: Option<OffsetDateTime>,
}

/// Everything that decides what a tenant may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Code of the plan in force; `None` without a live subscription.
    pub plan: Option<String>,
    /// What the plan gives.
    pub by_plan: Vec<Grant>,
    /// What overrides give, expired or not.
    pub overrides: Vec<Override>,
}

impl Granted {
    /// The plan's code, for people.
    #[must_use]
    pub fn plan_code(&self) -> String {
        self.plan.clone().unwrap_or_else(|| NO_PLAN.to_owned())
    }

    /// What holds at `at`, by key.
    #[must_use]
    pub fn in_force(self, at: OffsetDateTime) -> Vec<Grant> {
        let live = |given: &Override| given.expires_at.is_none_or(|end| at < end);
        let overrides = self
            .overrides
            .into_iter()
            .filter(live)
            .map(|given| given.grant);
        let by_key: BTreeMap<String, Grant> = self
            .by_plan
            .into_iter()
            .chain(overrides)
            .map(|grant| (grant.key.clone(), grant))
            .collect();
        by_key.into_values().collect()
    }
}

/// A grant and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// What is granted.
    pub grant: Grant,
    /// How much is used; always nought for booleans and static values.
    pub used: i64,
    /// When a quota starts anew.
    pub resets_at: Option<OffsetDateTime>,
}

impl Entitlement {
    /// How much more is allowed; `None` is unlimited.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        self.grant
            .maximum
            .map(|most| most.saturating_sub(self.used).max(0))
    }

    /// Whether `more` would still be allowed.
    #[must_use]
    pub fn admits(&self, more: i64) -> bool {
        match (self.grant.kind, self.grant.maximum) {
            (Kind::Boolean | Kind::Static, maximum) => maximum != Some(0),
            (_, None) => true,
            (_, Some(most)) => self.used.saturating_add(more) <= most,
        }
    }
}

/// A tenant's plan and all its entitlements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlements {
    /// Code of the plan.
    pub plan: String,
    /// The entitlements, by key.
    pub entitlements: Vec<Entitlement>,
}

/// The answer to "may I?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is known of the key; `None` when neither plan nor override names it, which allows nothing.
    pub entitlement: Option<Entitlement>,
    /// Whether the quantity asked for would be allowed now. Nothing is taken.
    pub allowed: bool,
}

/// Why entitlements were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadEntitlementsError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The key or the quantity breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How much of `key` a tenant may have, under a lock of the tenant's row: concurrent callers take turns until their transactions end.
/// An unknown key allows nothing.
///
/// # Errors
/// [`StoreError`].
pub fn allowance(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
) -> Result<Allowance, StoreError> {
    let at = store.lock_tenant(tenant_id)?;
    let (max, plan) = maximum(store, tenant_id, key, at)?;
    Ok(Allowance { max, plan })
}

fn maximum(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
    at: OffsetDateTime,
) -> Result<(Option<i64>, String), StoreError> {
    let granted = store.granted(tenant_id, Some(key), at)?;
    let plan = granted.plan_code();
    let max = granted
        .in_force(at)
        .pop()
        .map_or(Some(0), |grant| grant.maximum);
    Ok((max, plan))
}

/// How much of one grant is used at `at`.
///
/// # Errors
/// [`StoreError`].
pub fn used(
    store: &mut dyn Store,
    tenant_id: TenantId,
    grant: &Grant,
    month: Period,
    at: OffsetDateTime,
) -> Result<i64, StoreError> {
    let counted = match (grant.kind, &grant.metric) {
        (Kind::Boolean | Kind::Static, _) => return Ok(0),
        (Kind::Limit, _) => store.gauge_used(tenant_id, &grant.key, at)?,
        (Kind::Quota, None) => store.settled(tenant_id, &grant.key, month)?,
        (Kind::Quota, Some(metric)) => {
            let watermark = store.watermark()?;
            let metered = store.metered(tenant_id, metric, month, &watermark)?;
            // Half a task used up is a task used up.
            let whole = metered
                .as_decimal()
                .with_scale_round(0, RoundingMode::Ceiling);
            whole.to_i64().unwrap_or(i64::MAX).max(0)
        }
    };
    Ok(counted.saturating_add(store.reserved(tenant_id, &grant.key, at)?))
}

/// The month that quotas are counted in, whatever the interval of the plan.
///
/// # Errors
/// [`StoreError`].
pub fn quota_month(
    store: &mut dyn Store,
    tenant_id: TenantId,
    at: OffsetDateTime,
) -> Result<Period, StoreError> {
    match store.subscription(tenant_id)? {
        Some(subscription) => Ok(subscription.grid(Interval::Month).period_at(at)),
        None => {
            let (start, end) = store.tenant_zone(tenant_id)?.month_of(at);
            Ok(Period { start, end })
        }
    }
}

/// Adds its use to each grant.
///
/// # Errors
/// [`StoreError`].
pub fn with_use(
    store: &mut dyn Store,
    tenant_id: TenantId,
    grants: Vec<Grant>,
    at: OffsetDateTime,
) -> Result<Vec<Entitlement>, StoreError> {
    let month = quota_month(store, tenant_id, at)?;
    grants
        .into_iter()
        .map(|grant| {
            let used = used(store, tenant_id, &grant, month, at)?;
            let resets_at = (grant.kind == Kind::Quota).then_some(month.end);
            Ok(Entitlement {
                grant,
                used,
                resets_at,
            })
        })
        .collect()
}

/// Everything the tenant may have, and its use. Needs `entitlement.read`.
///
/// # Errors
/// See [`ReadEntitlementsError`].
pub fn list(
    store: &mut dyn Store,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Entitlements, ReadEntitlementsError> {
    let tenant_id = by.may(&permissions::ENTITLEMENT_READ)?;
    let granted = store.granted(tenant_id, None, now)?;
    let plan = granted.plan_code();
    let entitlements = with_use(store, tenant_id, granted.in_force(now), now)?;
    Ok(Entitlements { plan, entitlements })
}

/// Whether `quantity` more of `key` would be allowed now. Takes nothing. Needs `entitlement.read`.
///
/// # Errors
/// See [`ReadEntitlementsError`].
pub fn check(
    store: &mut dyn Store,
    key: &str,
    quantity: i64,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Check, ReadEntitlementsError> {
    let tenant_id = by.may(&permissions::ENTITLEMENT_READ)?;
    text::check("key", key, 255)?;
    subscription::check_quantity("quantity", quantity, 0)?;
    let grants = store.granted(tenant_id, Some(key), now)?.in_force(now);
    let entitlement = with_use(store, tenant_id, grants, now)?.pop();
    let allowed = entitlement
        .as_ref()
        .is_some_and(|entitlement| entitlement.admits(quantity));
    Ok(Check {
        entitlement,
        allowed,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 0:00 UTC);

    fn grant(key: &str, maximum: Option<i64>) -> Grant {
        Grant {
            key: key.to_owned(),
            kind: Kind::Limit,
            maximum,
            metric: None,
            value: None,
        }
    }

    fn in_force(overrides: Vec<Override>) -> Vec<(String, Option<i64>)> {
        let by_plan = vec![
            grant("max_agents", Some(10)),
            grant("max_projects", Some(1)),
        ];
        Granted {
            plan: Some("free".into()),
            by_plan,
            overrides,
        }
        .in_force(NOW)
        .into_iter()
        .map(|grant| (grant.key, grant.maximum))
        .collect()
    }

    #[test]
    fn an_override_wins_until_it_expires() {
        let given = |maximum, expires_at| Override {
            grant: grant("max_agents", maximum),
            expires_at,
        };
        let projects = ("max_projects".to_owned(), Some(1));
        let agents = |maximum| ("max_agents".to_owned(), maximum);
        assert_eq!(in_force(vec![]), [agents(Some(10)), projects.clone()]);
        assert_eq!(
            in_force(vec![given(None, None)]),
            [agents(None), projects.clone()]
        );
        assert_eq!(
            in_force(vec![given(Some(2), None)]),
            [agents(Some(2)), projects.clone()]
        );
        assert_eq!(
            in_force(vec![given(None, Some(NOW))]),
            [agents(Some(10)), projects]
        );
    }

    #[test]
    fn an_override_may_grant_what_the_plan_does_not_name() {
        let widgets = Override {
            grant: grant("max_widgets", Some(5)),
            expires_at: None,
        };
        assert_eq!(
            in_force(vec![widgets]).last(),
            Some(&("max_widgets".to_owned(), Some(5)))
        );
    }

    #[test]
    fn unlimited_is_never_blocked_and_use_beyond_the_limit_leaves_nothing() {
        let of = |kind, maximum, used| Entitlement {
            grant: Grant {
                kind,
                ..grant("max_agents", maximum)
            },
            used,
            resets_at: None,
        };
        assert!(of(Kind::Limit, None, i64::MAX).admits(1));
        assert_eq!(of(Kind::Limit, None, 7).remaining(), None);
        assert!(of(Kind::Limit, Some(3), 2).admits(1));
        assert!(!of(Kind::Limit, Some(3), 2).admits(2));
        assert_eq!(of(Kind::Limit, Some(3), 9).remaining(), Some(0));
        assert!(of(Kind::Boolean, Some(1), 0).admits(1));
        assert!(!of(Kind::Boolean, Some(0), 0).admits(1));
    }
}
