//! Medians and ratios.

use std::fmt;

use crate::load::Measured;

/// What each round measured.
#[derive(Default)]
pub(crate) struct Rounds {
    /// Transactions per second.
    pub(crate) pgbench: Vec<u64>,
    pub(crate) projects: Vec<Measured>,
    pub(crate) bare: Vec<Measured>,
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |of: fn(&Measured) -> u64, phase: &[Measured]| -> Vec<u64> {
            phase.iter().map(of).collect()
        };
        let projects = each(|it| it.per_second, &self.projects);
        let bare = each(|it| it.per_second, &self.bare);
        writeln!(f, "{:<44}{:>8}   rounds", "", "median")?;
        for (label, figures) in [
            ("pgbench, the same transaction, per second", &self.pgbench),
            ("a bare route, per second", &bare),
            ("GET /v1/projects, per second", &projects),
            ("  half within µs", &each(|it| it.p50, &self.projects)),
            ("  99 % within µs", &each(|it| it.p99, &self.projects)),
            (
                "a bare route, half within µs",
                &each(|it| it.p50, &self.bare),
            ),
            ("  99 % within µs", &each(|it| it.p99, &self.bare)),
        ] {
            writeln!(f, "{label:<44}{:>8}   {figures:?}", median(figures))?;
        }
        for (label, ceiling) in [("pgbench", &self.pgbench), ("the bare route", &bare)] {
            let label = format!("GET /v1/projects : {label}");
            let ratio = ratio(median(&projects), median(ceiling));
            writeln!(f, "{label:<44}{ratio:>8}")?;
        }
        Ok(())
    }
}

/// The middle one; the lower of two.
fn median(figures: &[u64]) -> u64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or_default()
}

/// With two decimals.
fn ratio(figure: u64, ceiling: u64) -> String {
    let hundredths = figure * 100 / ceiling.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
