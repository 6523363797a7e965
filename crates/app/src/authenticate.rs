//! Who makes a request, and in which tenant.
