//! The schema of a plugin's options.

use serde_json::Value;

use crate::config::schema::{
    error::{LARGEST, SchemaError},
    fault::Fault,
    suggest, walk, well_formed,
};

/// The JSON Schema of a plugin's options.
#[derive(Debug)]
pub struct OptionsSchema {
    root: Value,
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

    /// What to write instead of the unknown key at `path`, as the end of a sentence.
    pub(crate) fn suggest(&self, path: &str) -> Option<String> {
        suggest::suggest(&self.root, path)
    }
}
