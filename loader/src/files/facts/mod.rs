//! Who a file or folder belongs to, and who else can write to it, as the system tells. `judge.rs` decides what that means.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use self::unix::{Account, Facts, Writers};
#[cfg(windows)]
pub use self::windows::{Account, Facts, Writers};
