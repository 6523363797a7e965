//! The daily close: which days are due, adding one up, and writing it down.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use kernel::{MeterId, StoreError, TenantId};
use time::{Date, Duration, OffsetDateTime};
use usage::{
    day::{DueDay, Hold, MeterDay, Reconciled, UsageDay},
    rollup::Span,
};

use super::{StoredEvent, read};
use crate::{
    Memory,
    contract::DayRecord,
    memory::{MemoryTx, conflict},
};

/// A day with usage, and whether its books are closed.
#[derive(Clone)]
pub(super) struct Day {
    bounds: UsageDay,
    is_closed: bool,
    closes: u32,
    drift: Option<BigDecimal>,
}

impl Day {
    fn is_due(&self, now: OffsetDateTime) -> bool {
        !self.is_closed && self.bounds.ends_at <= now
    }
}

fn is_within(day: &UsageDay, event: &StoredEvent) -> bool {
    event.tenant_id == day.tenant_id
        && event.metered.occurred_at >= day.starts_at
        && event.metered.occurred_at < day.ends_at
}

impl MemoryTx {
    pub(super) fn reopen(&mut self, spans: &[Span]) -> Vec<UsageDay> {
        let days = self.tables.usage.days.values_mut();
        let touched = days.filter(|day| {
            let bounds = &day.bounds;
            let has_part = |span: &Span| {
                span.tenant_id == bounds.tenant_id
                    && bounds.starts_at <= span.last
                    && bounds.ends_at > span.first
            };
            spans.iter().any(has_part)
        });
        let reopened = touched.map(|day| {
            day.is_closed = false;
            day.bounds.clone()
        });
        reopened.collect()
    }

    pub(super) fn near(&self, spans: &[Span]) -> Vec<UsageDay> {
        let days = self.tables.usage.days.values().map(|day| &day.bounds);
        let is_near = |day: &&UsageDay| {
            spans.iter().any(|span| {
                span.tenant_id == day.tenant_id
                    && day.day >= span.first.date() - Duration::days(3)
                    && day.day <= span.last.date() + Duration::days(3)
            })
        };
        days.filter(is_near).cloned().collect()
    }

    pub(super) fn open_day(&mut self, day: &UsageDay) -> Result<(), StoreError> {
        if !self.tables.tenancy.tenants.contains_key(&day.tenant_id) {
            return Err(conflict("usage_days_tenant_id_fkey"));
        }
        let row = self.tables.usage.days.entry((day.tenant_id, day.day));
        row.and_modify(|known| {
            known.is_closed = false;
            known.bounds = day.clone();
        })
        .or_insert_with(|| Day {
            bounds: day.clone(),
            is_closed: false,
            closes: 0,
            drift: None,
        });
        Ok(())
    }

    pub(super) fn days_due(&self, now: OffsetDateTime, at_most: u32) -> Vec<DueDay> {
        let days = self.tables.usage.days.values();
        let mut due: Vec<_> = days.filter(|day| day.is_due(now)).collect();
        due.sort_by_key(|day| day.bounds.ends_at);
        let due = due.into_iter().take(at_most as usize);
        due.map(|day| DueDay {
            day: day.bounds.clone(),
            closes: day.closes,
        })
        .collect()
    }

    pub(super) fn day_to_close(&self, due: &DueDay, mark: i64) -> Hold {
        let usage = &self.tables.usage;
        let known = usage.days.get(&(due.day.tenant_id, due.day.day));
        let is_same = known.is_some_and(|known| {
            let bounds = (known.bounds.starts_at, known.bounds.ends_at);
            !known.is_closed
                && known.closes == due.closes
                && bounds == (due.day.starts_at, due.day.ends_at)
        });
        if !is_same {
            Hold::Gone
        } else if self.came_since(&due.day, mark) {
            Hold::Overtaken
        } else {
            Hold::Held
        }
    }

    pub(super) fn mark(&self) -> i64 {
        i64::try_from(self.tables.usage.rolled).unwrap_or(i64::MAX)
    }

    /// Whether events of the day came behind a mark: as many events were rolled up then.
    pub(super) fn came_since(&self, day: &UsageDay, mark: i64) -> bool {
        let rolled = usize::try_from(mark).unwrap_or(usize::MAX);
        let mut since = self.tables.usage.events.iter().skip(rolled);
        since.any(|event| is_within(day, event))
    }

    /// The day's totals of what is rolled up, by meter.
    pub(super) fn add_up(&self, day: &UsageDay) -> Reconciled {
        let mut by_meter: BTreeMap<MeterId, Vec<&StoredEvent>> = BTreeMap::new();
        let events = self.tables.usage.rolled();
        for event in events.filter(|event| is_within(day, event)) {
            let of_meter = by_meter.entry(event.metered.meter_id);
            of_meter.or_default().push(event);
        }
        let total = |(meter_id, events): (MeterId, Vec<&StoredEvent>)| {
            let meter = self.meter_by_id(day.tenant_id, meter_id)?;
            let quantities = || events.iter().map(|event| event.quantity());
            let (sum, count) = (quantities().sum::<BigDecimal>(), events.len());
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Some(MeterDay {
                meter_id,
                quantity: read::quantity(&meter, &events).into(),
                metric: meter.key,
                sum: sum.clone(),
                count,
                min: quantities().min().cloned().unwrap_or_default(),
                max: quantities().max().cloned().unwrap_or_default(),
                raw_sum: sum,
                raw_count: count,
            })
        };
        Reconciled {
            meters: by_meter.into_iter().filter_map(total).collect(),
            mark: self.mark(),
        }
    }

    pub(super) fn write_down(
        &mut self,
        day: &UsageDay,
        number: u32,
        drift: &BigDecimal,
        meters: &[MeterDay],
    ) -> Result<(), StoreError> {
        let (tenant_id, date) = (day.tenant_id, day.day);
        let usage = &mut self.tables.usage;
        if let Some(row) = usage.days.get_mut(&(tenant_id, date)) {
            row.is_closed = true;
            row.closes = number;
            row.drift = Some(drift.clone());
        } else if !meters.is_empty() {
            return Err(conflict("usage_daily_tenant_id_day_fkey"));
        }
        let of_day = |key: &(TenantId, Date, MeterId)| (key.0, key.1) == (tenant_id, date);
        usage.daily.retain(|key, _| !of_day(key));
        let totals = meters.iter().cloned();
        usage
            .daily
            .extend(totals.map(|total| ((tenant_id, date, total.meter_id), total)));
        Ok(())
    }
}

impl Memory {
    /// What was written down of a day.
    pub(crate) fn day_record(&self, tenant_id: TenantId, date: Date) -> Option<DayRecord> {
        let tables = self
            .committed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let day = tables.usage.days.get(&(tenant_id, date))?;
        let daily = tables.usage.daily.iter();
        let daily = daily.filter(|(key, _)| (key.0, key.1) == (tenant_id, date));
        Some(DayRecord {
            is_closed: day.is_closed,
            closes: day.closes,
            drift: day.drift.clone(),
            totals: daily.map(|(_, total)| total.into()).collect(),
        })
    }
}
