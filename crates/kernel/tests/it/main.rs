//! What holds for every input of the shared vocabulary, against oracles that share no code with it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

use proptest::string::{RegexGeneratorStrategy, string_regex};

mod addresses;
mod money;
mod pages;
mod permissions;
mod quantities;
mod zones;

/// Text that matches a regular expression, which is read once and not once a case.
fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}
