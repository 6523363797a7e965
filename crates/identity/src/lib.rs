//! Users, sessions, passwords and API keys.
