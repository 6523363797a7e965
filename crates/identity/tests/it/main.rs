//! Identity as an embedder uses it: the façade, over stores in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod memory;
mod memory_keys;
mod memory_sessions;
