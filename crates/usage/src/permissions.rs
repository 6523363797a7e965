//! What a principal needs in order to send, read and define usage.

use kernel::Permission;

/// Read usage.
pub const USAGE_READ: Permission = Permission::of("usage.read");
/// Send events.
pub const USAGE_WRITE: Permission = Permission::of("usage.write");
/// Send events that are older than 35 days.
pub const USAGE_BACKFILL: Permission = Permission::of("usage.backfill");
/// Read meters and their versions.
pub const METER_READ: Permission = Permission::of("meter.read");
/// Make meters and change them.
pub const METER_WRITE: Permission = Permission::of("meter.write");
