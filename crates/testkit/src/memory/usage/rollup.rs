//! Moving the watermark.

use std::collections::BTreeSet;

use usage::rollup::{Moved, Step, Touched, quarter_of};

use crate::memory::MemoryTx;

impl MemoryTx {
    /// Moves the watermark by about `at_most` events of transactions that are over. A transaction is never parted.
    pub(super) fn move_watermark(&mut self, at_most: u32) -> Moved {
        let usage = &self.tables.usage;
        let (start, horizon) = (usage.rolled, usage.committed);
        let stop = start.saturating_add(at_most as usize);
        let first_left = usage.events.get(stop).filter(|_| stop < horizon);
        let end = first_left.map_or(horizon, |left| {
            if left.first > start {
                return left.first;
            }
            let of_the_same = usage.events.iter().skip(stop);
            stop + of_the_same.take_while(|e| e.first == left.first).count()
        });
        let more = first_left.is_some();
        let moved = usage.events.iter().take(end).skip(start);
        let touched: BTreeSet<_> = moved
            .map(|event| (event.tenant_id, quarter_of(event.metered.occurred_at)))
            .collect();
        let touched = touched.into_iter().map(|(tenant_id, bucket)| {
            let zone = self.zone_name(tenant_id);
            Touched {
                tenant_id,
                timezone: zone.unwrap_or_else(|| "UTC".to_owned()),
                bucket,
            }
        });
        let touched = touched.collect();
        self.tables.usage.rolled = end;
        let events = u64::try_from(end - start).unwrap_or(u64::MAX);
        Moved {
            step: Step { events, more },
            touched,
        }
    }
}
