//! Meters, usage events, rollups and the daily close.
