//! What a person reads in the end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Report, customer::Customer};
use crate::terminal::say;

/// Shows what happened, what was answered, and what holds.
pub(super) fn show(report: &Report, customers: &[Arc<Customer>; 3]) {
    say("\nFaults");
    for (fault, times) in &report.faults {
        row(&times.to_string(), fault.words());
    }
    answers(customers);
    say("\nLimits: the most that was seen, of how many");
    for (key, peak) in report.peaks.iter().filter(|(_, peak)| peak.most > 0) {
        row(&format!("{} of {}", peak.most, peak.limit), key);
    }
    say("\nTimes");
    let longest = customers
        .iter()
        .map(|customer| customer.books.open().longest)
        .max();
    row(
        &seconds(longest.unwrap_or_default()),
        "the longest that a client waited for an answer, with all its tries",
    );
    row(
        &seconds(report.recovered_in),
        "from the last fault until everything was at rest",
    );
    say("\nConservation");
    for (says, off) in &report.checks {
        say(&format!(
            "  {} {says}",
            if off.is_empty() { "✓" } else { "✗" }
        ));
        for line in off.iter().take(8) {
            say(&format!("      {line}"));
        }
        if off.len() > 8 {
            say(&format!("      and {} more", off.len() - 8));
        }
    }
    say("");
}

fn answers(customers: &[Arc<Customer>; 3]) {
    let (mut answered, mut unknown) = (BTreeMap::new(), BTreeMap::new());
    let (mut events, mut retries, mut internal) = (0, 0, 0);
    for customer in customers {
        let books = customer.books.open();
        for (kind, times) in &books.answered {
            *answered.entry(*kind).or_insert(0) += times;
        }
        for (kind, times) in &books.unknown {
            *unknown.entry(*kind).or_insert(0) += times;
        }
        events += books
            .events
            .values()
            .filter(|sent| sent.acknowledged)
            .count();
        retries += books.retries;
        internal += books.internal;
    }
    say("\nCommands that were answered");
    for (kind, times) in &answered {
        row(&times.to_string(), kind);
    }
    row(&events.to_string(), "events acknowledged");
    row(&retries.to_string(), "tries beyond the first");
    row(&internal.to_string(), "answers 500");
    say("\nCommands that were carried out, and their answer lost");
    for (kind, times) in &unknown {
        row(&times.to_string(), kind);
    }
}

fn row(figure: &str, what: &str) {
    say(&format!("  {figure:>14}  {what}"));
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}
