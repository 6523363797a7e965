//! The Plinth worker.

fn main() {}
