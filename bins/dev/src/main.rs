//! cargo dev and cargo demo.

fn main() {}
