//! A mistake in the form of a text.

use std::ops::Range;

/// One mistake in the form of a text.
pub(crate) struct SyntaxError {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
}
