//! The metadata of the file, and whether this host can load the plugin.

use std::path::Path;

use jackfield::forward::OptionsSchema;
use jackfield_loader::{ForeignText, Inspection, PanicStrategy, Refusal};
use serde_json::Value;

use crate::check::harness::{CheckResult, Finding, Harness, fail, skip};

/// The names of the checks that read the file and run none of its code.
pub(super) const NAMES: [&str; 4] = ["metadata", "verdict", "panic-strategy", "schema"];

/// Name and version of a plugin.
pub(crate) type NameAndVersion = (ForeignText, ForeignText);

/// The name and version in the file, if it has metadata, and the findings of [`NAMES`].
pub(crate) fn check_file(file: &Path) -> (Option<NameAndVersion>, Vec<(&'static str, Finding)>) {
    let inspected = jackfield_loader::inspect(file);
    let checked: [CheckResult; 4] = match &inspected {
        Err(error) => {
            let first = Err(fail(
                error.to_string(),
                "build a shared library with the metadata section that `export!` or jackfield.h gives it",
            ));
            let rest = || Err(skip("there is no metadata"));
            [first, rest(), rest(), rest()]
        }
        Ok(it) => [metadata(it), verdict(it), panics(it), schema(it)],
    };
    let findings = NAMES.into_iter().zip(checked.map(Finding::from)).collect();
    (inspected.ok().map(|it| (it.metadata.name, it.metadata.version)), findings)
}

fn metadata(it: &Inspection) -> CheckResult {
    let metadata = &it.metadata;
    if metadata.version.is_empty() || metadata.target.is_empty() || metadata.compiler.is_empty() {
        return Err(fail(
            "`version`, `target` or `compiler` is empty in the metadata",
            "fill them in: `jackfield plugins` and `jackfield inspect` show them to users who choose a build",
        ));
    }
    Ok(format!("{} {}, ABI {}, digest {}", metadata.name, metadata.version, metadata.abi, metadata.digest))
}

fn verdict(it: &Inspection) -> CheckResult {
    match it.verdict() {
        Ok(()) => Ok("this host can load it".to_owned()),
        Err(refusal @ Refusal::PanicAborts) => {
            Err(fail(refusal.to_string(), "build the release profile without panic = \"abort\""))
        }
        Err(refusal) => {
            Err(fail(refusal.to_string(), "build it against the released API, for the platform that runs it"))
        }
    }
}

fn panics(it: &Inspection) -> CheckResult {
    match it.metadata.panic {
        PanicStrategy::Unwind => Ok("panics unwind, and are caught at the boundary".to_owned()),
        PanicStrategy::None => Ok(format!("{} has no panics", it.metadata.language)),
        _ => Err(fail(
            "a panic ends the tool's process",
            "build the release profile with panic = \"unwind\", so that a panic costs one instance and not the tool",
        )),
    }
}

fn schema(it: &Inspection) -> CheckResult {
    let Some(schema) = &it.metadata.config_schema else {
        return Err(skip("there is none: with one, hosts can say what is wrong with a configuration"));
    };
    let advice = "write a JSON Schema of draft 2020-12 for an object, with `properties` and `additionalProperties: false`";
    OptionsSchema::parse(schema.get()).map_err(|error| fail(format!("no JSON Schema: {error}"), advice))?;
    let value: Value = serde_json::from_str(schema.get()).unwrap_or_default();
    if value.get("type").and_then(Value::as_str) != Some("object") {
        return Err(fail("it is not the schema of an object", advice));
    }
    let options = value.get("properties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    Ok(format!("{options} options"))
}

/// Compares the tables with the metadata. Runs in the child.
pub(super) fn load(harness: &Harness) -> CheckResult {
    let plugin = harness.subject.plugin();
    let metadata = plugin.metadata();
    let advice = "make the metadata and the descriptor's tables equal: hosts rely on `offers` and `serial`";
    if metadata.serial != harness.subject.is_serial() {
        let found = format!(
            "the metadata says serial = {}, the table says {}",
            metadata.serial,
            harness.subject.is_serial()
        );
        return Err(fail(found, advice));
    }
    let (deletion, diagnostics) = harness.subject.optional_tables();
    for (name, table) in [("deletion", deletion), ("diagnostics", diagnostics)] {
        if metadata.offers.iter().any(|offer| offer == name) != table {
            let (says, has) = if table { ("does not offer", "has a") } else { ("offers", "has no") };
            return Err(fail(
                format!("the metadata {says} {name}, and the descriptor {has} table for it"),
                advice,
            ));
        }
    }
    Ok(format!("loaded, {}", plugin.layout()))
}
