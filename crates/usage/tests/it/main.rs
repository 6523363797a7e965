//! What holds for every event.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use proptest::string::{RegexGeneratorStrategy, string_regex};

mod events;
mod metadata;

/// Text that matches a regular expression, which is read once and not once a case.
fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}
