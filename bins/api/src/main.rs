//! The Plinth API server.

fn main() {}
