//! How far it has come, on stderr: a bar for people, a line now and then for logs.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How long a log stays silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Progress of an import.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    last: Instant,
    size: u64,
    rows: u64,
}

impl Progress {
    /// Of something that is so large, in bytes or rows.
    pub(crate) fn new(size: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left");
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(size);
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        let now = Instant::now();
        Self {
            bar,
            began: now,
            last: now,
            size,
            rows: 0,
        }
    }

    /// So many rows more were read, and so much of the size is done.
    pub(crate) fn advance(&mut self, rows: u64, done: u64) {
        self.rows += rows;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(self.speed());
        } else if self.last.elapsed() >= SILENCE {
            let percent = done.saturating_mul(100) / self.size.max(1);
            super::tell(format_args!("{percent} %, {}", self.speed()));
            self.last = Instant::now();
        }
    }

    /// Takes the bar away, and says how fast it went.
    pub(crate) fn end(&self) -> String {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (whole, tenths) = (
            self.began.elapsed().as_millis() / 1000,
            self.began.elapsed().as_millis() % 1000 / 100,
        );
        format!("{} in {whole}.{tenths} s", self.speed())
    }

    fn speed(&self) -> String {
        let elapsed = self.began.elapsed().as_millis().max(1);
        let speed = u128::from(self.rows) * 1000 / elapsed;
        format!("{} rows, {speed} rows/s", self.rows)
    }
}
