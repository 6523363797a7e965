//! The books as people and as programs read them.

use std::{collections::BTreeMap, fs, path::Path};

use bigdecimal::BigDecimal;
use serde::Serialize;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    BackfillError, Ending,
    books::{Books, Line, Span, Sum},
};

/// Unknown tenants that are listed; the report in JSON has all.
const LISTED: usize = 50;

/// What came of an import.
pub(crate) struct Summary {
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) dry_run: bool,
    pub(crate) was_finished: bool,
    /// Rows that the source holds.
    pub(crate) rows: u64,
    /// Rows that an earlier run settled.
    pub(crate) settled_before: u64,
    /// Rows of tenants that are not here, by the source's name.
    pub(crate) unknown_tenants: BTreeMap<String, u64>,
    /// Rows of which not even the tenant could be read, by code.
    pub(crate) unreadable: BTreeMap<&'static str, u64>,
    pub(crate) books: Books,
    pub(crate) speed: String,
}

#[derive(Serialize)]
struct TenantLine<'a> {
    tenant_id: String,
    metric: &'a str,
    #[serde(flatten)]
    line: &'a Line,
}

impl Summary {
    /// How it ended.
    pub(crate) fn ending(&self, strict: bool) -> Ending {
        if !self.dry_run && !self.books.balance() {
            Ending::Unbalanced
        } else if strict && self.refused() > 0 {
            Ending::Refused
        } else {
            Ending::Done
        }
    }

    /// Rows without a tenant here.
    fn unassigned(&self) -> u64 {
        self.unknown_tenants
            .values()
            .chain(self.unreadable.values())
            .sum()
    }

    /// Rows and events that were refused.
    fn refused(&self) -> i128 {
        let events =
            self.books.events(|line| &line.rejected) + self.books.events(|line| &line.conflicts);
        events + i128::from(self.unassigned())
    }
}

/// Prints the books.
pub(crate) fn print(summary: &Summary) {
    let books = &summary.books;
    let what = if summary.dry_run {
        "checked"
    } else {
        "imported"
    };
    crate::say(format_args!(
        "{what} {} as {}: {} rows, {} of them settled before; {}",
        summary.table, summary.source, summary.rows, summary.settled_before, summary.speed
    ));
    if summary.was_finished && summary.settled_before == summary.rows {
        crate::say(format_args!(
            "it was finished before, and nothing was changed"
        ));
    }
    crate::say(format_args!(
        "events: {} in the source, {} accepted, {} duplicates, {} conflicts, {} rejected",
        books.events(|line| &line.source.sum),
        books.events(|line| &line.accepted),
        books.events(|line| &line.duplicates),
        books.events(|line| &line.conflicts),
        books.events(|line| &line.rejected),
    ));
    for (code, rows) in &summary.unreadable {
        crate::say(format_args!("{rows} rows were refused: {code}"));
    }
    print_unknown(&summary.unknown_tenants);
    for (tenant_id, metric, line) in books.lines() {
        print_line(&tenant_id.to_string(), metric, line, summary.dry_run);
    }
    if !summary.dry_run {
        let verdict = if books.balance() {
            "the books balance: every event of the source is there, or was refused and is counted"
        } else {
            "THE BOOKS DO NOT BALANCE: see the differences"
        };
        crate::say(format_args!("{verdict}"));
    }
}

fn print_unknown(unknown: &BTreeMap<String, u64>) {
    if unknown.is_empty() {
        return;
    }
    let rows: u64 = unknown.values().sum();
    crate::say(format_args!(
        "{rows} rows belong to {} tenants that are not here:",
        unknown.len()
    ));
    for (name, rows) in unknown.iter().take(LISTED) {
        crate::say(format_args!("  {name}: {rows} rows"));
    }
    if unknown.len() > LISTED {
        crate::say(format_args!("  and {} more", unknown.len() - LISTED));
    }
}

fn print_line(tenant_id: &str, metric: &str, line: &Line, dry_run: bool) {
    let metric = if metric.is_empty() {
        "(no metric)"
    } else {
        metric
    };
    crate::say(format_args!("{tenant_id} {metric}"));
    crate::say(format_args!("  source      {}", span(&line.source)));
    if !dry_run {
        crate::say(format_args!("  plinth      {}", span(&line.plinth)));
    }
    for (name, of) in [
        ("duplicates", &line.duplicates),
        ("conflicts", &line.conflicts),
        ("rejected", &line.rejected),
    ] {
        if !of.is_zero() {
            crate::say(format_args!("  {name:<11} {}", sum(of)));
        }
    }
    if !dry_run {
        crate::say(format_args!("  difference  {}", sum(&line.difference)));
    }
}

fn sum(sum: &Sum) -> String {
    format!("{} events, sum {}", sum.events, plain(&sum.quantity))
}

fn plain(quantity: &BigDecimal) -> String {
    quantity.normalized().to_plain_string()
}

fn span(span: &Span) -> String {
    let text = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    match (text(span.first_at), text(span.last_at)) {
        (Some(first), Some(last)) => format!("{}, {first} to {last}", sum(&span.sum)),
        _ => sum(&span.sum),
    }
}

/// Writes the books as JSON.
///
/// # Errors
/// [`BackfillError::Report`].
pub(crate) fn write(summary: &Summary, path: &Path) -> Result<(), BackfillError> {
    let lines: Vec<TenantLine<'_>> = summary
        .books
        .lines()
        .map(|(tenant_id, metric, line)| TenantLine {
            tenant_id: tenant_id.to_string(),
            metric,
            line,
        })
        .collect();
    let report = json!({
        "source": summary.source,
        "table": summary.table,
        "dry_run": summary.dry_run,
        "rows": summary.rows,
        "settled_before": summary.settled_before,
        "unassigned_rows": summary.unassigned(),
        "unknown_tenants": summary.unknown_tenants,
        "unreadable_rows": summary.unreadable,
        "balanced": (!summary.dry_run).then(|| summary.books.balance()),
        "lines": lines,
    });
    let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    fs::write(path, text).map_err(|error| BackfillError::Report {
        path: path.display().to_string(),
        why: error.to_string(),
    })
}
