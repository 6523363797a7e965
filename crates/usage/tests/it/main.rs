//! What holds for every event; and what somebody who embeds usage relies on, over stores in memory.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

use proptest::string::{RegexGeneratorStrategy, string_regex};

mod events;
mod memory_books;
mod memory_events;
mod memory_fixture;
mod memory_meters;
mod memory_usage;
mod memory_versions;
mod metadata;

/// Text that matches a regular expression, which is read once and not once a case.
fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}
