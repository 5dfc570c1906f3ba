//! Starting the detached child at the end of a tool, when one is needed.

use std::{path::Path, time::Duration};

use jackfield_loader::Program;

use crate::delivery::backend_state::due;
use crate::delivery::pass_result::PassResult;
use crate::delivery::target::{Source, Target};
use crate::instance::context::Context;
use crate::instance::settings::Settings;

/// Why no child can deliver for this tool and these backends, in a few words.
pub(crate) fn obstacle(settings: &Settings, targets: &[Target]) -> Option<&'static str> {
    decide(settings, program(targets).is_available(), std::process::id(), cfg!(unix))
}

/// The executable of the child: the tool's own, or else the helper that the configuration names.
fn program(targets: &[Target]) -> Program {
    let helper = targets.iter().find_map(|target| match &target.source {
        Source::Plugin { plugins, .. } => plugins.helper.clone(),
        Source::Static(_) => None,
    });
    match helper {
        Some(helper) if !Program::Own.is_available() => Program::At(helper),
        _ => Program::Own,
    }
}

fn decide(settings: &Settings, available: bool, process: u32, unix: bool) -> Option<&'static str> {
    if !unix {
        Some("not on this platform")
    } else if !available {
        Some("add `jackfield::init();` as the first line of `main`, or name a `helper` in [plugins]")
    } else if process == 1 {
        // With it, the system ends every other process of its namespace.
        Some("this process is number 1 of its container")
    } else if !settings.statics.is_empty() {
        Some("a backend is compiled into the tool")
    } else if !settings.on_disk {
        Some("the spool is on a file system of the tool's own")
    } else {
        None
    }
}

/// Starts a child, unless nothing can be sent now or a child delivers already. `None` when a child is needed and none can be
/// started.
#[cfg(not(unix))]
pub(crate) fn spawn_child(_context: &Context, _lifetime: Duration) -> Option<PassResult> {
    None
}

/// Starts a child, unless nothing can be sent now or a child delivers already. `None` when a child is needed and none can be
/// started.
#[cfg(unix)]
pub(crate) fn spawn_child(context: &Context, lifetime: Duration) -> Option<PassResult> {
    use super::job;
    use super::lock::{self, LockAttempt};

    let nothing = PassResult::default();
    let collection = context.consent.read().collection;
    let (Some(data), Some(states), Some(spools)) =
        (context.trusted_data(), context.states(), &context.spools)
    else {
        return Some(nothing);
    };
    if !context.enabled || collection == crate::consent::consent::Collection::Off {
        return Some(nothing);
    }
    let selected = context.select_for(collection);
    if obstacle(&context.settings, &selected.targets).is_some() {
        return None;
    }
    let local = selected.info.stays_here(collection);
    let spool = spools.get(local);
    let due = due(&selected.targets, &states, spool.now_ms());
    if due.is_empty() {
        return Some(nothing);
    }
    if !spool.has_waiting(&due) {
        return Some(PassResult { emptied: true, ..nothing });
    }
    let job = job_of(context, data, local, collection, &selected.targets, lifetime)?;
    let handed = job.to_text().and_then(|text| Ok((lock::take(data, local, &job::mark(&text))?, text)));
    let (held, text) = match handed {
        Ok((LockAttempt::Taken(held) | LockAttempt::Awaited(held), text)) => (held, text),
        // That child looks at the spool again before it ends.
        Ok((LockAttempt::Held, _)) => return Some(nothing),
        Err(error) => {
            tracing::debug!("no child delivers: {error}");
            return None;
        }
    };
    let started = job::hand_over(&text).and_then(|text| {
        jackfield_loader::reexec::Spawn::new(program(&selected.targets), crate::detached::child::JOB.name)
            .title(format!("for {}", context.settings.tool))
            .files(vec![held.into(), text.into()])
            .start()
    });
    match started {
        Ok(child) => {
            if let Err(error) = child.reap() {
                tracing::debug!("nobody waits for the child that delivers: {error}");
            }
            Some(nothing)
        }
        Err(error) => {
            tracing::debug!("no child delivers: {error}");
            None
        }
    }
}

/// The job of the child; `None` when a part of it can't be passed on.
#[cfg(unix)]
fn job_of(
    context: &Context,
    data: &Path,
    local: bool,
    collection: crate::consent::consent::Collection,
    targets: &[Target],
    lifetime: Duration,
) -> Option<crate::detached::job::DeliveryJob> {
    use super::job::{Asked, DeliveryJob};
    use crate::config::serialized::Handed;

    let absolute = |path: &Path| std::path::absolute(path).ok();
    let (settings, consent) = (&context.settings, context.consent.options());
    let mut stays_in_folder = false;
    let mut backends = Vec::new();
    for target in targets {
        let Source::Plugin { config, plugins, folder } = &target.source else { return None };
        stays_in_folder |= may_name_a_relative_path(&config.config);
        backends.push(Handed::new(config, plugins, folder)?);
    }
    Some(DeliveryJob {
        release: DeliveryJob::release(),
        tool: settings.tool.clone(),
        version: settings.version.clone(),
        data: absolute(data)?,
        local,
        collection,
        mode: settings.mode,
        consent: Asked {
            prefix: consent.prefix.clone(),
            file: match &consent.file {
                Some(file) => Some(absolute(file)?),
                None => None,
            },
            force_enabled: consent.force_enabled,
            unprefixed_opt_in: consent.unprefixed_opt_in,
            variables: context.consent.variables(),
        },
        limits: (&settings.limits).into(),
        backends,
        fingerprints: targets.iter().map(Target::fingerprint).collect(),
        lifetime,
        stays_in_folder,
    })
}

/// Whether some text in a plugin's configuration can be a path that starts at the working folder: one that is neither an
/// absolute path nor a URL. What it means only the plugin knows, so a password is taken for one, too.
#[cfg(unix)]
fn may_name_a_relative_path(config: &str) -> bool {
    use serde_json::Value;

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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::api::telemetry::Telemetry;
    use crate::delivery::memory_backend::MemoryBackend;

    #[test]
    fn no_child_is_had_where_it_would_end_with_the_tool_or_lack_a_part_of_it() {
        let plain = Telemetry::builder("tool", "1").build();
        let settings = &plain.context().settings;
        assert_eq!(decide(settings, true, 2, true), None);
        assert!(decide(settings, true, 1, true).is_some_and(|why| why.contains("number 1")));
        assert!(decide(settings, false, 2, true).is_some_and(|why| why.contains("jackfield::init();")));
        assert!(decide(settings, true, 2, false).is_some_and(|why| why.contains("platform")));
        let compiled =
            Telemetry::builder("tool", "1").backend("memory", MemoryBackend::new().maker()).build();
        assert!(
            decide(&compiled.context().settings, true, 2, true).is_some_and(|why| why.contains("compiled"))
        );
        let elsewhere = Telemetry::builder("tool", "1").file_system(crate::spool::disk::Disk).build();
        assert!(
            decide(&elsewhere.context().settings, true, 2, true)
                .is_some_and(|why| why.contains("file system"))
        );
    }

    #[test]
    fn a_configuration_that_may_name_a_relative_path_keeps_the_child_in_the_tools_folder() {
        for stays in
            [r#"{"path":"events.jsonl"}"#, r#"{"tls":{"ca_file":"./ca.pem"}}"#, r#"{"a":[1,"b"]}"#, "{"]
        {
            assert!(may_name_a_relative_path(stays), "{stays}");
        }
        for leaves in ["{}", r#"{"url":"https://host/a","path":"/var/log/a","n":1,"e":""}"#] {
            assert!(!may_name_a_relative_path(leaves), "{leaves}");
        }
    }
}
