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

pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod options_schema;
mod reference;
mod suggest;
#[cfg(test)]
mod tests;
mod walk;
mod well_formed;
