//! What holds for every name and every token; and tenancy as an embedder uses it: the façade, over stores in memory.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

use proptest::string::{RegexGeneratorStrategy, string_regex};

mod memory;
mod memory_invitations;
mod memory_members;
mod memory_projects;
mod memory_tenants;
mod slugs;
mod tokens;

/// Text that matches a regular expression, which is read once and not once a case.
fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}
