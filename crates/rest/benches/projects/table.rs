//! Medians, bests and ratios. Where other programs disturb, medians and bests disagree.

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
        writeln!(f, "{:<44}{:>8}{:>8}   rounds", "", "median", "best")?;
        for (label, figures) in [
            ("pgbench, the same transaction, per second", &self.pgbench),
            ("a bare route, per second", &bare),
            ("GET /v1/projects, per second", &projects),
        ] {
            let (median, best) = (median(figures), best(figures));
            writeln!(f, "{label:<44}{median:>8}{best:>8}   {figures:?}")?;
        }
        for (label, phase) in [
            ("GET /v1/projects", &self.projects),
            ("a bare route", &self.bare),
        ] {
            for (share, figures) in [
                ("half", each(|it| it.p50, phase)),
                ("99 %", each(|it| it.p99, phase)),
            ] {
                let label = format!("{label}, {share} within µs");
                let best = figures.iter().min().copied().unwrap_or_default();
                writeln!(
                    f,
                    "{label:<44}{:>8}{best:>8}   {figures:?}",
                    median(&figures)
                )?;
            }
        }
        for (label, ceiling) in [("pgbench", &self.pgbench), ("a bare route", &bare)] {
            let label = format!("GET /v1/projects : {label}");
            let medians = ratio(median(&projects), median(ceiling));
            let bests = ratio(best(&projects), best(ceiling));
            writeln!(f, "{label:<44}{medians:>8}{bests:>8}")?;
        }
        Ok(())
    }
}

/// The fastest round.
fn best(figures: &[u64]) -> u64 {
    figures.iter().max().copied().unwrap_or_default()
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
