//! The metadata of the file, and whether this host can load the plugin.

use jackfield::forward::OptionsSchema;
use jackfield_loader::{ForeignText, Inspection, PanicStrategy, Refusal, count};
use serde_json::Value;

use crate::check::{
    harness::{CheckResult, Finding, Harness, OWN_PROCESS, fail, skip},
    options::CheckArgs,
};

/// The names of the checks that read the file and run none of its code.
pub(super) const NAMES: [&str; 4] = ["metadata", "verdict", "panic-strategy", "schema"];

/// Name and version of a plugin.
pub(crate) type NameAndVersion = (ForeignText, ForeignText);

/// What the file says of itself, without running its code.
pub(crate) struct FileReport {
    /// Name and version, if the file has metadata.
    pub(crate) plugin: Option<NameAndVersion>,
    /// Whether it is checked for a process of its own.
    pub(crate) own_process: bool,
    /// The findings of [`NAMES`].
    pub(crate) findings: Vec<(&'static str, Finding)>,
}

pub(crate) fn check_file(args: &CheckArgs) -> FileReport {
    let inspected = jackfield_loader::inspect(&*args.file);
    let own_process = args.own_process(inspected.as_ref().ok().map(|it| &it.metadata));
    let checked: [CheckResult; 4] = match &inspected {
        Err(error) => {
            let first = Err(fail(
                error.to_string(),
                "build a shared library with the metadata section that `export!` or jackfield.h gives it",
            ));
            let rest = || Err(skip("there is no metadata"));
            [first, rest(), rest(), rest()]
        }
        Ok(it) => [metadata(it), verdict(it, own_process), panics(it, own_process), schema(it)],
    };
    let findings = NAMES.into_iter().zip(checked.map(Finding::from)).collect();
    let plugin = inspected.ok().map(|it| (it.metadata.name, it.metadata.version));
    FileReport { plugin, own_process, findings }
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

fn verdict(it: &Inspection, own_process: bool) -> CheckResult {
    match if own_process { it.verdict_in_process() } else { it.verdict() } {
        Ok(()) if own_process => Ok("this host can load it into a process of its own".to_owned()),
        Ok(()) => Ok("this host can load it".to_owned()),
        Err(refusal @ Refusal::PanicAborts) => {
            let advice = "build the release profile without panic = \"abort\", or say `isolation: \"process\"` in the metadata";
            Err(fail(refusal.to_string(), advice))
        }
        Err(refusal @ Refusal::NeedsProcess) => {
            Err(fail(refusal.to_string(), "check it without --isolation, on Linux"))
        }
        Err(refusal) => {
            Err(fail(refusal.to_string(), "build it against the released API, for the platform that runs it"))
        }
    }
}

fn panics(it: &Inspection, own_process: bool) -> CheckResult {
    match it.metadata.panic {
        PanicStrategy::Abort if own_process => Err(skip(OWN_PROCESS)),
        PanicStrategy::Unwind => Ok("the metadata says that panics unwind".to_owned()),
        PanicStrategy::None => Ok(format!("the metadata says that {} has no panics", it.metadata.language)),
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
    Ok(count(options, "option"))
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
