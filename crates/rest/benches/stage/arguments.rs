//! What a benchmark was told.

use std::env;

use clap::Parser;

/// The arguments, or `None` when nothing is to be measured: `cargo test --all-targets` runs benchmarks as well, and should not wait for them.
pub(crate) fn arguments<A: Parser>() -> Option<A> {
    let mut arguments: Vec<String> = env::args().collect();
    let given = arguments.len();
    // Cargo's own word, which no benchmark knows.
    arguments.retain(|argument| argument != "--bench");
    if arguments.len() == given {
        println!("nothing is measured without --bench");
        return None;
    }
    Some(A::parse_from(arguments))
}
