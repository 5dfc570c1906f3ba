//! Why a text is no schema.

/// The largest schema that is read, in bytes.
pub(super) const LARGEST: usize = 256 << 10;

/// Why a text is no JSON Schema that options can be checked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is larger than the host reads.
    #[error("expected at most {LARGEST} bytes, found {found}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// It is not JSON.
    #[error("not JSON: {reason}")]
    NotJson {
        /// What the parser says.
        reason: String,
    },
    /// A keyword has a value that the keyword can't have.
    #[error("`{at}`: expected {expected}")]
    Keyword {
        /// A JSON pointer, such as `/properties/url/type`.
        at: String,
        /// What the keyword can have.
        expected: &'static str,
    },
}
