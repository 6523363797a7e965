//! What billing asks for: one metric's total of a period, up to a watermark that gives the same answer whenever it is asked again.

use bigdecimal::BigDecimal;
use kernel::{StoreError, TenantId};
use time::OffsetDateTime;
use usage::{Buckets, Filter, GroupBy, Store, query::UsageQuery};

use super::read;
use crate::memory::MemoryTx;

impl MemoryTx {
    /// Whose meters were used when, of the events from the one numbered `since` on, and how many events there are.
    pub(in crate::memory) fn usage_since(
        &self,
        since: usize,
        at_most: usize,
    ) -> (usize, Vec<(TenantId, String, OffsetDateTime)>, bool) {
        let usage = &self.tables.usage;
        let end = usage.committed.min(since.saturating_add(at_most));
        let events = usage.events.iter().take(end).skip(since);
        let used = events.filter_map(|event| {
            let key = self.key_of_meter(event.tenant_id, event.metered.meter_id)?;
            Some((event.tenant_id, key, event.metered.occurred_at))
        });
        (end, used.collect(), end < usage.committed)
    }

    /// A watermark that everything committed by now is behind, and nothing else: the number of events.
    pub(in crate::memory) fn usage_watermark(&self) -> String {
        self.tables.usage.committed.to_string()
    }

    /// What the meter's aggregation makes of `metric` in `[from, to)`, of events behind `watermark`; nought for a metric that is not there.
    pub(in crate::memory) fn metered_total(
        &mut self,
        tenant_id: TenantId,
        metric: &str,
        (from, to): (OffsetDateTime, OffsetDateTime),
        watermark: &str,
    ) -> Result<BigDecimal, StoreError> {
        let behind: usize = watermark
            .parse()
            .map_err(|_| StoreError::Unexpected(format!("no watermark: {watermark}")))?;
        let query = UsageQuery {
            meters: self.meters_by_key(tenant_id, &[metric.to_owned()])?,
            from,
            to,
            buckets: Buckets::At(vec![from]),
            group_by: GroupBy::default(),
            filter: Filter::default(),
            project_id: None,
            with_empty: false,
        };
        let events = self.tables.usage.events.iter().take(behind);
        let of_tenant = events.filter(|event| event.tenant_id == tenant_id);
        let row = read::rows(of_tenant.map(AsRef::as_ref), &query, None, 1).pop();
        Ok(row.map_or_else(BigDecimal::default, |row| row.quantity.as_decimal().clone()))
    }
}
