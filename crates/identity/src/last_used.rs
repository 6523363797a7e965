//! When keys were last used: collected in memory and written in batches, so that no request pays for it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kernel::{ApiKeyId, TenantId};
use time::{Duration, OffsetDateTime};

/// How often one key's time is written at most.
const INTERVAL: Duration = Duration::minutes(1);

/// One use to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's tenant.
    pub tenant_id: TenantId,
    /// The key.
    pub key_id: ApiKeyId,
    /// When it was used last.
    pub at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    last: KeyUse,
    written: Option<OffsetDateTime>,
}

/// Collects uses until somebody writes them.
#[derive(Debug, Default)]
pub struct LastUsed(Mutex<HashMap<ApiKeyId, Seen>>);

impl LastUsed {
    /// Notes that a key was used.
    pub fn note(&self, used: KeyUse) {
        let mut seen = self.lock();
        let entry = seen.entry(used.key_id).or_insert(Seen {
            last: used,
            written: None,
        });
        if entry.last.at < used.at {
            entry.last = used;
        }
    }

    /// Takes what should be written now: keys used since their last writing, each at most once a minute. Keys that rest are forgotten.
    pub fn take(&self, now: OffsetDateTime) -> Vec<KeyUse> {
        let mut seen = self.lock();
        seen.retain(|_, entry| {
            entry
                .written
                .is_none_or(|written| entry.last.at > written || now - written < INTERVAL)
        });
        let due = |entry: &&mut Seen| {
            entry
                .written
                .is_none_or(|written| entry.last.at > written && now - written >= INTERVAL)
        };
        seen.values_mut()
            .filter(due)
            .map(|entry| {
                entry.written = Some(now);
                entry.last
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_written_at_most_once_a_minute() {
        let now = time::macros::datetime!(2026-03-01 12:00 UTC);
        let (collector, tenant_id, key_id) =
            (LastUsed::default(), TenantId::new(now), ApiKeyId::new(now));
        let note = |seconds| {
            collector.note(KeyUse {
                tenant_id,
                key_id,
                at: now + Duration::seconds(seconds),
            });
        };
        note(0);
        note(-5);
        let at = |seconds| now + Duration::seconds(seconds);
        assert_eq!(
            collector.take(at(1)),
            [KeyUse {
                tenant_id,
                key_id,
                at: now
            }]
        );
        note(30);
        assert!(collector.take(at(31)).is_empty());
        assert_eq!(
            collector.take(at(61)),
            [KeyUse {
                tenant_id,
                key_id,
                at: at(30)
            }]
        );
        assert!(collector.take(at(200)).is_empty());
        assert!(collector.lock().is_empty());
    }
}
