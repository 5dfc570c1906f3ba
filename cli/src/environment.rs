//! Variables of the environment.

use std::{env, ffi::OsString};

/// The value of a variable. A script unsets a variable for one command by an empty value.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
