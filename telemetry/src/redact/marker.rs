//! The text that replaces a secret.

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";
