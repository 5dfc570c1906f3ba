//! The child: loads one plugin and makes the calls that the host asks for.

mod callbacks;
pub(super) mod serve;
