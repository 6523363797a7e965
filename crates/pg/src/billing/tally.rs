//! What quotas counted when they were last read, so that the next reading adds only what came since.
//!
//! What is counted up to a snapshot never changes, so what is kept is never wrong, only old; and whoever uses it asks the database what came
//! since. That holds while one server counts its transactions on, so what is kept says which that was. And it is forgotten after a minute in
//! any case: should somebody change the past by hand, no answer is wrong for longer.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use bigdecimal::BigDecimal;
use billing::Period;
use kernel::TenantId;
use moka::sync::Cache;

use crate::usage::AddingMeter;

/// Quotas that are remembered, of a few hundred bytes each.
const CAPACITY: u64 = 20_000;
/// How long after everything was read.
const KEPT: Duration = Duration::from_secs(60);
/// How long the last reading may be ago: beyond that, what came since may be more than what is not rolled up, which a whole reading reads.
const RECENT: Duration = Duration::from_secs(2);

/// One for the process: an open transaction has no place for it, and whatever database it is of is part of what is kept.
static TALLIES: LazyLock<Cache<(TenantId, String), Arc<Tally>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(CAPACITY)
        .time_to_live(KEPT)
        .build()
});

/// How a quota is counted, and what it came to.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// The metric that is counted; `None` where reservations are.
    pub(super) metric: Option<String>,
    /// From when to when.
    pub(super) period: Period,
    /// How far it was counted; `None` where no reading can follow another.
    pub(super) count: Option<Count>,
}

/// What a meter counted up to a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Count {
    /// Which server it was read from, in which of its lives, and which database.
    pub(super) origin: String,
    pub(super) meter: AddingMeter,
    pub(super) quantity: BigDecimal,
    /// The snapshot, as PostgreSQL writes it.
    pub(super) until: String,
    read_at: Instant,
    /// When everything was read.
    whole_at: Instant,
}

impl Tally {
    pub(super) fn of(tenant_id: TenantId, key: &str) -> Option<Arc<Self>> {
        TALLIES.get(&(tenant_id, key.to_owned()))
    }

    pub(super) fn keep(self, tenant_id: TenantId, key: &str) {
        TALLIES.insert((tenant_id, key.to_owned()), Arc::new(self));
    }

    pub(super) fn forget(tenant_id: TenantId, key: &str) {
        TALLIES.invalidate(&(tenant_id, key.to_owned()));
    }

    /// Whether the next reading may follow this one.
    pub(super) fn goes_on(&self) -> bool {
        match &self.count {
            Some(count) => count.is_recent(),
            // What reservations settled is read whole each time.
            None => self.metric.is_none(),
        }
    }
}

impl Count {
    /// Everything was read.
    pub(super) fn whole(
        origin: String,
        meter: AddingMeter,
        quantity: BigDecimal,
        until: &str,
    ) -> Self {
        let now = Instant::now();
        Self {
            origin,
            meter,
            quantity,
            until: until.to_owned(),
            read_at: now,
            whole_at: now,
        }
    }

    /// `more` came until a later snapshot.
    pub(super) fn and(&self, more: &BigDecimal, until: &str) -> Self {
        Self {
            quantity: &self.quantity + more,
            until: until.to_owned(),
            read_at: Instant::now(),
            ..self.clone()
        }
    }

    /// Whether what came since is worth asking for.
    fn is_recent(&self) -> bool {
        self.read_at.elapsed() < RECENT && self.whole_at.elapsed() < KEPT
    }
}
