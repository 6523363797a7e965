//! Thresholds: others are told when so many percent of a limit are used, once.
//!
//! A threshold is a number: 80 % of 10,000. It is told once per entitlement, period and limit, by whoever notices first: the transaction
//! that takes, or, for what is metered, the worker that looks at what came in. A row decides who was first.

use audit::Fact;
use kernel::{StoreError, TenantId};
use serde_json::json;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Entitlement, Kind, Store, take};

/// Percents of a limit that are told.
pub const THRESHOLDS: [i16; 2] = [80, 100];
/// The topic of the facts.
pub const TOPIC: &str = "entitlement.threshold_reached";
/// How far back usage that comes late is looked at: as long as events are let in without backfill.
pub const LATEST: Duration = Duration::days(35);

/// Thresholds that the use of an entitlement has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Key of the entitlement.
    pub key: String,
    /// Start of its period.
    pub period_start: OffsetDateTime,
    /// The limit.
    pub maximum: i64,
    /// Percents, ascending.
    pub thresholds: Vec<i16>,
    /// The use.
    pub used: i64,
    /// When it was noticed.
    pub at: OffsetDateTime,
}

/// Usage of a meter that came in since it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Whose.
    pub tenant_id: TenantId,
    /// The meter.
    pub metric: String,
    /// When the first of it happened.
    pub first_at: OffsetDateTime,
    /// When the last of it happened.
    pub last_at: OffsetDateTime,
}

/// What came in between two marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The mark that it starts at.
    pub from: i64,
    /// The mark that it ends at.
    pub to: i64,
    /// What came in, of meters that some quota counts.
    pub touched: Vec<Touched>,
    /// Whether there is more to look at, from its end on.
    pub more: bool,
}

/// The thresholds that are reached. Nought is reached by nothing.
fn reached(used: i64, maximum: i64) -> Vec<i16> {
    let is_reached = |threshold: &i16| {
        maximum > 0 && i128::from(used) * 100 >= i128::from(maximum) * i128::from(*threshold)
    };
    THRESHOLDS.into_iter().filter(is_reached).collect()
}

/// Tells the thresholds that are reached and were not told.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn tell(
    store: &mut dyn Store,
    tenant_id: TenantId,
    plan: &str,
    entitlement: &Entitlement,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let Some(maximum) = entitlement.grant.maximum else {
        return Ok(());
    };
    let thresholds = reached(entitlement.used, maximum);
    if thresholds.is_empty() {
        return Ok(());
    }
    let reached = Reached {
        key: entitlement.grant.key.clone(),
        period_start: entitlement.period.start,
        maximum,
        thresholds,
        used: entitlement.used,
        at: now,
    };
    for threshold in store.mark_thresholds(tenant_id, &reached)? {
        store.publish(fact(tenant_id, plan, entitlement, maximum, threshold, now))?;
    }
    Ok(())
}

fn fact(
    tenant_id: TenantId,
    plan: &str,
    entitlement: &Entitlement,
    maximum: i64,
    threshold: i16,
    now: OffsetDateTime,
) -> Fact {
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    Fact {
        tenant_id,
        topic: TOPIC,
        // The row of the threshold is what makes it one.
        key: None,
        payload: json!({
            "key": entitlement.grant.key,
            "kind": entitlement.grant.kind.as_str(),
            "plan": plan,
            "limit": maximum,
            "used": entitlement.used,
            "threshold": threshold,
            "period": { "start": text(entitlement.period.start), "end": text(entitlement.period.end) },
        }),
        occurred_at: now,
    }
}

/// Notes what follows from usage that came in, in every period that some of it falls into. What came late is held against the limit of
/// today.
///
/// # Errors
/// [`StoreError`].
pub fn notice(
    store: &mut dyn Store,
    touched: &Touched,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let tenant_id = touched.tenant_id;
    let granted = store.granted(tenant_id, None, now)?;
    let counts = |grant: &crate::Grant| {
        grant.kind == Kind::Quota
            && grant.maximum.is_some()
            && grant.metric.as_ref() == Some(&touched.metric)
    };
    for grant in granted.in_force(now).into_iter().filter(counts) {
        if grant.enforcement.grace().is_some() {
            // A grace starts and ends under the lock that takers hold.
            store.lock_tenant(tenant_id)?;
        }
        let standing = store.standing(tenant_id, &grant.key, now)?;
        let plan = standing.plan_code();
        let current = standing.measure(store, tenant_id, grant.clone(), now)?;
        take::note(store, tenant_id, &plan, &current, now)?;
        let mut period = standing.period_at(&grant, touched.first_at.max(now - LATEST));
        while period.start <= touched.last_at {
            if !period.contains(now) {
                let other = standing.measure_in(store, tenant_id, grant.clone(), period, now)?;
                tell(store, tenant_id, &plan, &other, now)?;
            }
            period = standing.period_at(&grant, period.end);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_at_its_number_and_not_before() {
        assert_eq!(reached(799, 1000), [] as [i16; 0]);
        assert_eq!(reached(800, 1000), [80]);
        assert_eq!(reached(999, 1000), [80]);
        assert_eq!(reached(1000, 1000), [80, 100]);
        assert_eq!(reached(1, 1), [80, 100]);
        assert_eq!(reached(i64::MAX, i64::MAX), [80, 100]);
        assert_eq!(reached(5, 0), [] as [i16; 0]);
    }
}
