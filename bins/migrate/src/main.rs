//! plinth-migrate: schema up, down, status.

fn main() {}
