//! A backend's options against the JSON Schema that its plugin carries, before any of the plugin runs.
//!
//! The host checks the keywords that schemas of options are made of: `type`, `enum`, `const`, `properties`, `required`,
//! `additionalProperties`, `items`, the limits of numbers, texts and lists, `anyOf`, `oneOf`, `allOf`, and a `$ref` into
//! the schema itself. The plugin checks everything else when it opens: the host refuses no option for a keyword that the
//! host does not know.
//!
//! A schema is the work of a plugin's vendor and may be hostile. Its size, the depth of a check and the number of its steps
//! are bounded, and there are no regular expressions. Options whose check would exceed a bound are left to the plugin.
//!
//! No message repeats a value of the configuration, because the value may be a secret.

mod fault;
mod suggest;
mod walk;
mod well_formed;

use serde_json::Value;

pub use self::fault::Fault;

/// The largest schema that is read, in bytes.
const LARGEST: usize = 256 << 10;

/// The JSON Schema of a plugin's options.
#[derive(Debug)]
pub struct OptionsSchema {
    root: Value,
}

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

impl OptionsSchema {
    /// Reads a schema of draft 2020-12.
    ///
    /// # Errors
    /// [`SchemaError`]: the schema is too large, is not JSON, or is not a JSON Schema.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > LARGEST {
            return Err(SchemaError::TooLarge { found: text.len() });
        }
        let root =
            serde_json::from_str(text).map_err(|error| SchemaError::NotJson { reason: error.to_string() })?;
        well_formed::judge(&root)?;
        Ok(Self { root })
    }

    /// What is wrong with `options`, a JSON object; empty when they fit, and when the check would exceed a bound.
    #[must_use]
    pub fn faults(&self, options: &Value) -> Vec<Fault> {
        walk::faults(&self.root, options)
    }

    /// What to write instead of the unknown key at `path`: see [`suggest::suggest`].
    pub(crate) fn suggest(&self, path: &str) -> Option<String> {
        suggest::suggest(&self.root, path)
    }
}

/// The schema that a `$ref` leads to; `None` when the reference leads out of the schema or nowhere.
fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    root.pointer(target.strip_prefix('#')?)
}

#[cfg(test)]
mod tests;
