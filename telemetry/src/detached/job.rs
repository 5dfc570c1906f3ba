//! The job of a detached child: what the tool passes to it.
//!
//! The job is JSON, and is read once. The child is the tool's own executable, so no other version reads the job; a helper
//! program of another version refuses it.

use std::{
    io,
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use jackfield_loader::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::serialized::Handed;
use crate::consent::consent::{Collection, ConsentOptions};
use crate::delivery::configured_backend::{ConfiguredBackend, Source};
use crate::delivery::settle::DeliveryMode;
use crate::detached::lock::Mark;
use crate::instance::context::Context;
use crate::spool::store::Limits;

/// Everything that the child needs for its delivery.
#[derive(Serialize, Deserialize)]
pub(super) struct DeliveryJob {
    /// The version of this crate, not of the tool.
    pub(super) release: String,
    pub(super) tool: String,
    pub(super) version: String,
    pub(super) data: PathBuf,
    /// Whether the child delivers the spool for events that stay on the machine.
    pub(super) local: bool,
    /// The consent by which the backends were chosen.
    #[serde(with = "CollectionText")]
    pub(super) collection: Collection,
    #[serde(with = "ModeText")]
    pub(super) mode: DeliveryMode,
    #[serde(with = "ConsentFields")]
    pub(super) consent: ConsentOptions,
    /// The variables of the tool that decide about consent, and their values.
    pub(super) variables: Vec<(String, String)>,
    #[serde(with = "LimitsFields")]
    pub(super) limits: Limits,
    pub(super) backends: Vec<JobBackend>,
    /// Stamps of the plugins' files. They are a part of the mark, so that a replaced plugin leads to another child.
    pub(super) fingerprints: Vec<String>,
    pub(super) lifetime: Duration,
    /// Whether a path in a plugin's configuration may start at the working folder.
    pub(super) stays_in_folder: bool,
}

/// A backend of the child.
#[derive(Serialize, Deserialize)]
pub(super) enum JobBackend {
    Plugin(Box<Handed>),
    /// The name of a backend in code, by which `init_with` names it.
    InCode(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ConsentOptions")]
struct ConsentFields {
    prefix: Option<String>,
    file: Option<PathBuf>,
    force_enabled: bool,
    unprefixed_opt_in: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Collection")]
enum CollectionText {
    Off,
    LocalOnly,
    On,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeliveryMode")]
enum ModeText {
    AtLeastOnce,
    AtMostOnce,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsFields {
    max_bytes: u64,
    max_events: u64,
    max_age: Duration,
    segment_bytes: u64,
    dead_letter_bytes: Option<u64>,
    dead_letter_age: Duration,
    refuse_when_full: bool,
}

impl DeliveryJob {
    /// The job for a child of this tool.
    ///
    /// # Errors
    /// When a path can't be made absolute.
    pub(super) fn new(
        context: &Context,
        data: &Path,
        local: bool,
        collection: Collection,
        targets: &[ConfiguredBackend],
        lifetime: Duration,
    ) -> io::Result<Self> {
        let (settings, consent) = (&context.settings, context.consent.options());
        let mut stays_in_folder = false;
        let mut backends = Vec::new();
        for target in targets {
            backends.push(match &target.source {
                Source::Plugin { config, plugins, folder } => {
                    stays_in_folder |= may_name_a_relative_path(&config.config);
                    JobBackend::Plugin(Box::new(Handed::new(config, plugins, folder)?))
                }
                Source::Static(_) => {
                    // It may use any path.
                    stays_in_folder = true;
                    JobBackend::InCode(target.name.clone())
                }
            });
        }
        let file = consent.file.as_ref().map(absolute).transpose()?;
        Ok(Self {
            release: Self::release(),
            tool: settings.tool.clone(),
            version: settings.version.clone(),
            data: absolute(data)?,
            local,
            collection,
            mode: settings.mode,
            consent: ConsentOptions { file, ..consent.clone() },
            variables: context.consent.variables(),
            limits: settings.limits.clone(),
            backends,
            fingerprints: targets.iter().map(ConfiguredBackend::fingerprint).collect(),
            lifetime,
            stays_in_folder,
        })
    }

    fn release() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// The job of this text.
    pub(super) fn parse(text: &[u8]) -> io::Result<Self> {
        let job: Self = serde_json::from_slice(text)?;
        if job.release != Self::release() {
            let reason = format!("a job of version {}, this is {}", job.release, Self::release());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(job)
    }
}

/// Whether some text in a plugin's configuration can be a path that starts at the working folder: a text that is neither an
/// absolute path nor a URL. Only the plugin knows the meaning of a text, so a password counts as such a path, too.
fn may_name_a_relative_path(config: &str) -> bool {
    fn may(value: &Value) -> bool {
        match value {
            Value::String(text) => {
                !text.is_empty() && !Path::new(text).is_absolute() && !text.contains("://")
            }
            Value::Array(items) => items.iter().any(may),
            Value::Object(members) => members.values().any(may),
            _ => false,
        }
    }
    serde_json::from_str(config).map_or(true, |config| may(&config))
}

/// The mark of a job's text, which reveals nothing of the text.
pub(super) fn mark(text: &[u8]) -> Mark {
    let mut mark = Mark::default();
    mark.copy_from_slice(jackfield_loader::hex(&Digest::of(text).as_bytes()[..8]).as_bytes());
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_jobs_have_different_marks() {
        assert_eq!(&mark(b"a"), b"ca978112ca1bbdca");
        assert_ne!(mark(b"a"), mark(b"b"));
    }

    #[test]
    fn a_possible_relative_path_keeps_the_child_in_the_tools_folder() {
        for stays in
            [r#"{"path":"events.jsonl"}"#, r#"{"tls":{"ca_file":"./ca.pem"}}"#, r#"{"a":[1,"b"]}"#, "{"]
        {
            assert!(may_name_a_relative_path(stays), "{stays}");
        }
        let file = std::path::absolute("/var/log/a").expect("not empty");
        let absolute =
            serde_json::json!({ "url": "https://host/a", "path": file, "n": 1, "e": "" }).to_string();
        for leaves in ["{}", &absolute] {
            assert!(!may_name_a_relative_path(leaves), "{leaves}");
        }
    }
}
