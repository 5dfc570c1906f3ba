//! Where references of a schema lead.

use serde_json::Value;

/// The schema that a `$ref` leads to; `None` when the reference leads out of the schema or nowhere.
pub(super) fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    root.pointer(target.strip_prefix('#')?)
}
