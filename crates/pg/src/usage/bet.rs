//! Whether to bet that no event of a batch was there before: `app.append_usage_events`.
//!
//! A hint, and one for the whole process, because what comes next on any connection looks like what came last on any. A wrong one is not wrong
//! in what it writes: it costs the time, and the dead rows, of what was written until the duplicate.

use std::sync::atomic::{AtomicU32, Ordering};

/// Batches that nobody bets on after one with a duplicate, of this month or an older one. Duplicates come in swarms, and a lost bet costs up to
/// a batch: this bounds the loss to one batch in so many, of each connection that writes.
const AFTER_A_DUPLICATE: u32 = 32;

/// How many of them are left.
static LEFT: AtomicU32 = AtomicU32::new(0);

pub(super) fn is_on() -> bool {
    LEFT.load(Ordering::Relaxed) == 0
}

pub(super) fn learn(had_duplicates: bool) {
    if had_duplicates {
        LEFT.store(AFTER_A_DUPLICATE, Ordering::Relaxed);
    } else {
        let one_less = |left: u32| left.checked_sub(1);
        let _none_was_left = LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }
}
