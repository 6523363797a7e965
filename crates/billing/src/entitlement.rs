//! Entitlements: what a plan, or an override, lets a tenant have, and how much of it is used.
//!
//! An override that has not expired wins over the plan, key by key. What neither names is not allowed at all.

use std::collections::BTreeMap;

use kernel::{Allowance, Denied, FieldError, Principal, StoreError, TenantId, text};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Cycle, Enforcement, Period, Store, permissions, subscription};

/// What a plan is called where a tenant has no subscription.
pub const NO_PLAN: &str = "none";

/// The kinds of entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// So many things at once.
    Limit,
    /// So much per period: see [`Cycle`].
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
    /// What a quota starts anew with.
    pub cycle: Cycle,
    /// What happens at the limit.
    pub enforcement: Enforcement,
}

impl Grant {
    /// A hard grant without a meter, by billing months.
    #[must_use]
    pub fn new(key: impl Into<String>, kind: Kind, maximum: Option<i64>) -> Self {
        Self {
            key: key.into(),
            kind,
            maximum,
            metric: None,
            value: None,
            cycle: Cycle::default(),
            enforcement: Enforcement::default(),
        }
    }
}

/// A grant to one tenant that wins over its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What it gives.
    pub grant: Grant,
    /// From this instant on the plan counts again.
    pub expires_at: Option<OffsetDateTime>,
    /// Why, for operators.
    pub reason: Option<String>,
}

impl Override {
    /// Whether it counts at `at`.
    #[must_use]
    pub fn is_live(&self, at: OffsetDateTime) -> bool {
        self.expires_at.is_none_or(|end| at < end)
    }
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
        let overrides = self
            .overrides
            .into_iter()
            .filter(|given| given.is_live(at))
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
    /// The period that a quota is counted in. Of a limit, whose use has no period, the one that its thresholds are told once in.
    pub period: Period,
    /// The most that is let through now; `None` has no bound.
    pub ceiling: Option<i64>,
    /// When the grace of a limit that was crossed ends, or has ended.
    pub grace_ends_at: Option<OffsetDateTime>,
}

impl Entitlement {
    /// How much more the limit allows; `None` is unlimited. What is let through beyond the limit is not counted in.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        self.grant
            .maximum
            .map(|most| most.saturating_sub(self.used).max(0))
    }

    /// Whether `more` would still be let through.
    #[must_use]
    pub fn admits(&self, more: i64) -> bool {
        match (self.grant.kind, self.grant.maximum) {
            (Kind::Boolean | Kind::Static, maximum) => maximum != Some(0),
            (_, None) => true,
            (_, Some(_)) => self
                .ceiling
                .is_none_or(|ceiling| self.used.saturating_add(more) <= ceiling),
        }
    }

    /// Whether more is used than the limit allows: after a downgrade, or beyond a limit that lets more through.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over_with(0)
    }

    /// Whether more than the limit allows would be used with `more`.
    #[must_use]
    pub fn is_over_with(&self, more: i64) -> bool {
        self.grant
            .maximum
            .is_some_and(|most| self.used.saturating_add(more) > most)
    }

    /// When a quota starts anew.
    #[must_use]
    pub fn resets_at(&self) -> Option<OffsetDateTime> {
        (self.grant.kind == Kind::Quota).then_some(self.period.end)
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
    /// Whether it would be allowed beyond the limit.
    pub is_over: bool,
}

impl Check {
    /// The answer for `more` of an entitlement.
    #[must_use]
    pub fn of(entitlement: Option<Entitlement>, more: i64) -> Self {
        let allowed = entitlement.as_ref().is_some_and(|one| one.admits(more));
        let is_over = allowed
            && entitlement
                .as_ref()
                .is_some_and(|one| one.is_over_with(more));
        Self {
            entitlement,
            allowed,
            is_over,
        }
    }
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
    Ok(store.standing(tenant_id, key, at)?.allowance(at))
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
    grants
        .into_iter()
        .map(|grant| {
            let standing = store.standing(tenant_id, &grant.key, at)?;
            standing.measure(store, tenant_id, grant, at)
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

/// Whether the question may be asked, and of which tenant. Needs `entitlement.read`.
///
/// # Errors
/// [`ReadEntitlementsError::Denied`] and [`ReadEntitlementsError::Invalid`].
pub fn may_check(
    key: &str,
    quantity: i64,
    by: &Principal,
) -> Result<TenantId, ReadEntitlementsError> {
    let tenant_id = by.may(&permissions::ENTITLEMENT_READ)?;
    text::check("key", key, 255)?;
    subscription::check_quantity("quantity", quantity, 0)?;
    Ok(tenant_id)
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
    let tenant_id = may_check(key, quantity, by)?;
    let standing = store.standing(tenant_id, key, now)?;
    let entitlement = match standing.grant.clone() {
        Some(grant) => Some(standing.measure(store, tenant_id, grant, now)?),
        None => None,
    };
    Ok(Check::of(entitlement, quantity))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 0:00 UTC);

    fn grant(key: &str, maximum: Option<i64>) -> Grant {
        Grant::new(key, Kind::Limit, maximum)
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
            reason: None,
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
            reason: None,
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
            period: Period {
                start: NOW,
                end: NOW,
            },
            ceiling: maximum,
            grace_ends_at: None,
        };
        assert!(of(Kind::Limit, None, i64::MAX).admits(1));
        assert_eq!(of(Kind::Limit, None, 7).remaining(), None);
        assert!(of(Kind::Limit, Some(3), 2).admits(1));
        assert!(!of(Kind::Limit, Some(3), 2).admits(2));
        assert_eq!(of(Kind::Limit, Some(3), 9).remaining(), Some(0));
        assert!(of(Kind::Boolean, Some(1), 0).admits(1));
        assert!(!of(Kind::Boolean, Some(0), 0).admits(1));
    }

    #[test]
    fn over_is_beyond_the_limit_and_not_at_it() {
        let of = |ceiling, used| Entitlement {
            grant: grant("max_agents", Some(3)),
            used,
            period: Period {
                start: NOW,
                end: NOW,
            },
            ceiling,
            grace_ends_at: None,
        };
        assert!(!of(Some(3), 3).is_over() && of(Some(3), 4).is_over());
        let soft = of(None, 3);
        assert!(soft.admits(1) && soft.is_over_with(1) && !soft.is_over());
        let grace = of(Some(4), 4);
        assert!(!grace.admits(1));
        assert_eq!(grace.remaining(), Some(0));
    }
}
