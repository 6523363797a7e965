//! The daily close: a tenant's day is reconciled with the raw events, written down, and announced.
//!
//! A day closes when it has ended in the tenant's zone and every event known for it is rolled up. An event that comes later reopens it, in
//! the transaction that rolls the event up, and it is closed again under the next number.

use audit::Fact;
use bigdecimal::{BigDecimal, Zero};
use kernel::{MeterId, Quantity, StoreError, TenantId, Zone};
use serde_json::json;
use time::{Date, OffsetDateTime};

use crate::{
    Ledger,
    rollup::{BUCKET, Span},
};

/// A tenant's day, with the instants it starts and ends at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// Whose day.
    pub tenant_id: TenantId,
    /// Which day, in the tenant's time zone.
    pub day: Date,
    /// The time zone's name.
    pub timezone: String,
    /// Its first instant.
    pub starts_at: OffsetDateTime,
    /// The first instant of the next day.
    pub ends_at: OffsetDateTime,
}

impl UsageDay {
    /// The day in the zone of this name.
    #[must_use]
    pub fn new(tenant_id: TenantId, day: Date, timezone: &str) -> Self {
        Self::in_zone(tenant_id, day, timezone, &zone_or_utc(timezone))
    }

    /// The day that an instant is of in the zone of this name.
    pub(crate) fn around(tenant_id: TenantId, at: OffsetDateTime, timezone: &str) -> Self {
        let zone = zone_or_utc(timezone);
        Self::in_zone(tenant_id, zone.day_of(at), timezone, &zone)
    }

    fn in_zone(tenant_id: TenantId, day: Date, timezone: &str, zone: &Zone) -> Self {
        Self {
            tenant_id,
            day,
            timezone: timezone.to_owned(),
            starts_at: zone.start_of_day(day),
            ends_at: zone.start_of_day(day.next_day().unwrap_or(Date::MAX)),
        }
    }

    fn span(&self) -> Span {
        Span {
            tenant_id: self.tenant_id,
            first: self.starts_at,
            last: self.ends_at - BUCKET,
        }
    }
}

/// The zone of a name that was checked when it was stored. A name that this build does not know any more must not stop the books.
pub(crate) fn zone_or_utc(name: &str) -> Zone {
    Zone::parse("timezone", name).unwrap_or_else(|_| {
        tracing::error!(
            zone = name,
            "unknown time zone of a tenant; its days are kept in UTC"
        );
        Zone::utc()
    })
}

/// A day that has ended and is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDay {
    /// The day.
    pub day: UsageDay,
    /// How often it was closed before.
    pub closes: u32,
}

/// What a day comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Each meter's day.
    pub meters: Vec<MeterDay>,
    /// A mark that is opaque here: no event behind it is missing.
    pub mark: i64,
}

/// Whether a day can be closed as it was reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is locked until the transaction ends.
    Held,
    /// So it is, and events of it came since it was added up.
    Overtaken,
    /// It is no longer due, or not as it was, or somebody else holds it.
    Gone,
}

/// One meter's day, from the rollups and from the raw events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterDay {
    /// The meter.
    pub meter_id: MeterId,
    /// Its key.
    pub metric: String,
    /// What the meter's aggregation makes of the day.
    pub quantity: Quantity,
    /// Quantities added up, in the rollups.
    pub sum: BigDecimal,
    /// Number of events, in the rollups.
    pub count: i64,
    /// The smallest quantity.
    pub min: BigDecimal,
    /// The largest quantity.
    pub max: BigDecimal,
    /// Quantities added up, in the raw events.
    pub raw_sum: BigDecimal,
    /// Number of raw events.
    pub raw_count: i64,
}

impl MeterDay {
    fn drift(&self) -> BigDecimal {
        (&self.sum - &self.raw_sum).abs() + BigDecimal::from((self.count - self.raw_count).abs())
    }
}

/// What came of an attempt to close a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// It is closed, for the `number`th time.
    Closed {
        /// 1 for the first close.
        number: u32,
        /// What rollups and raw events differ by. Anything but 0 is a defect.
        drift: BigDecimal,
    },
    /// Events of the day wait for the rollup.
    Waiting,
    /// Another worker holds it, or has closed it.
    NotDue,
}

/// Closes one day. It is added up before it is held, since that can take long and rollers wait for who holds a day.
///
/// # Errors
/// [`StoreError`]; the day is as it was.
pub fn close(
    store: &mut dyn Ledger,
    due: &DueDay,
    now: OffsetDateTime,
) -> Result<Close, StoreError> {
    if store.has_unrolled(&due.day)? {
        return Ok(Close::Waiting);
    }
    let Reconciled { meters, mark } = store.reconcile(&due.day)?;
    let hold = store.hold_day(due, mark)?;
    if hold == Hold::Gone {
        return Ok(Close::NotDue);
    }
    let (tenant_id, day) = (due.day.tenant_id, due.day.day);
    let drift = meters
        .iter()
        .map(MeterDay::drift)
        .fold(BigDecimal::zero(), |a, b| a + b);
    if !drift.is_zero() {
        tracing::error!(%tenant_id, %day, %drift, "the rollups of a day differ from its events");
    }
    let number = due.closes + 1;
    store.close_day(&due.day, number, &drift, &meters, now)?;
    store.publish(announcement(&due.day, number, &drift, &meters, now))?;
    if hold == Hold::Overtaken {
        // As if they had come a moment later. To wait for a day on which nothing comes while it is added up could be to wait for ever.
        store.reopen_days(&[due.day.span()])?;
    }
    Ok(Close::Closed { number, drift })
}

fn announcement(
    day: &UsageDay,
    number: u32,
    drift: &BigDecimal,
    meters: &[MeterDay],
    now: OffsetDateTime,
) -> Fact {
    let metrics: Vec<_> = meters
        .iter()
        .map(|meter| json!({ "metric": meter.metric, "quantity": meter.quantity }))
        .collect();
    Fact {
        tenant_id: day.tenant_id,
        topic: "usage.day_closed",
        key: Some(format!(
            "usage.day_closed:{}:{}:{number}",
            day.tenant_id, day.day
        )),
        payload: json!({
            "day": day.day.to_string(),
            "timezone": day.timezone,
            "close": number,
            "drift": drift.normalized().to_plain_string(),
            "metrics": metrics,
        }),
        occurred_at: now,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_day_with_a_clock_change_is_longer() {
        let tenant = TenantId::from(Uuid::nil());
        let havana = UsageDay::new(tenant, date!(2026 - 11 - 01), "America/Havana");
        assert_eq!(havana.starts_at, datetime!(2026-11-01 04:00 UTC));
        assert_eq!(havana.ends_at - havana.starts_at, time::Duration::hours(25));
    }

    #[test]
    fn drift_has_no_sign_to_cancel_out_by() {
        let meter = |sum: i64, raw: i64| MeterDay {
            meter_id: MeterId::from(Uuid::nil()),
            metric: "chat".into(),
            quantity: Quantity::from(sum),
            sum: sum.into(),
            count: 1,
            min: sum.into(),
            max: sum.into(),
            raw_sum: raw.into(),
            raw_count: 2,
        };
        assert_eq!(meter(3, 5).drift(), BigDecimal::from(3));
        assert_eq!(meter(5, 3).drift(), BigDecimal::from(3));
    }
}
