//! What a person sees.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

/// A line for the person.
#[expect(clippy::print_stdout, reason = "this tool talks to a person")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Why the run ends.
#[expect(clippy::print_stderr, reason = "this tool talks to a person")]
pub(crate) fn complain(failure: &Failure) {
    eprintln!("\n✗ {failure}");
}

/// Something that takes a while. On a terminal it moves; elsewhere it says a line now and then, so that a log shows life.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    said: Instant,
}

const EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Progress through a known number of things.
    pub(crate) fn through(what: &'static str, total: u64) -> Self {
        Self::over(
            ProgressBar::new(total),
            what,
            "  {msg} {wide_bar} {pos}/{len}",
        )
    }

    /// Progress towards something that comes when it comes.
    pub(crate) fn until(what: &'static str) -> Self {
        let waiting = Self::over(
            ProgressBar::new_spinner(),
            what,
            "  {spinner} {msg} {elapsed}",
        );
        waiting.bar.enable_steady_tick(Duration::from_millis(100));
        waiting
    }

    fn over(bar: ProgressBar, what: &'static str, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            bar,
            what,
            said: Instant::now(),
        }
    }

    /// Shows how far it is.
    pub(crate) fn step(&mut self, done: u64, detail: &str) {
        self.bar.set_position(done);
        self.bar.set_message(format!("{} {detail}", self.what));
        if self.bar.is_hidden() && self.said.elapsed() > EVERY {
            say(&format!("  … {} {detail}", self.what));
            self.said = Instant::now();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
