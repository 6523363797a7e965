//! What holds for every key, question and password; and identity as an embedder uses it: the façade, over stores in memory.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

use proptest::string::{RegexGeneratorStrategy, string_regex};

mod key_texts;
mod memory;
mod memory_keys;
mod memory_sessions;
mod passwords;
mod peppers;
mod questions;

/// Text that matches a regular expression, which is read once and not once a case.
fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}
