//! A plugin that does what its events' names say, and tells every field that it was given: what a later host is held to.
#![forbid(unsafe_code)]

use std::{fmt::Write as _, thread, time::Duration};

use jackfield_plugin_api::{
    Backend, Batch, Call, DeletesData, Deletion, DeletionRequest, Diagnoses, Error, Event, Host, Outcome,
    Outcomes, Probe, export,
};

#[derive(serde::Deserialize)]
struct Config {
    /// What `close` fails with, if anything.
    close: Option<String>,
}

struct Skew {
    config: Config,
    host: Host,
}

impl Skew {
    fn outcome(&self, event: &Event<'_>, call: &Call<'_>) -> Outcome {
        match event.name() {
            "delivered" => Outcome::Delivered,
            "retry" => Outcome::retry("later"),
            "retry after" => {
                Outcome::Retry { after: Some(Duration::from_millis(1500)), reason: "in 1.5 s".into() }
            }
            "rejected" => Outcome::rejected(self.fields(event)),
            "too large" => Outcome::too_large("split it"),
            "panic" => panic!("as it was asked to"),
            "hang" => {
                while !call.is_cancelled() {
                    thread::sleep(Duration::from_millis(5));
                }
                Outcome::retry("cancelled")
            }
            _ => Outcome::rejected("no such name"),
        }
    }

    fn fields(&self, event: &Event<'_>) -> String {
        let mut text =
            format!("{} {} {}", self.host.tool_name(), self.host.tool_version(), self.host.backend_name());
        for field in [
            event.json(),
            event.id(),
            event.timestamp(),
            event.kind(),
            event.machine_id(),
            event.tool_name(),
            event.tool_version(),
            event.os(),
            event.arch(),
            event.os_version(),
            event.runtime_version(),
            event.error().unwrap_or("-"),
        ] {
            let _ = write!(text, "|{field}");
        }
        let _ = match event.args() {
            Some(args) => args.fold(write!(text, "|args"), |_, arg| write!(text, ",{arg}")),
            None => write!(text, "|-"),
        };
        let _ = write!(text, "|metadata");
        for (key, value) in event.metadata() {
            let _ = write!(text, ",{key}={value}");
        }
        let _ = write!(text, "|{}", event.time_unix_nanos());
        let _ = match event.duration() {
            Some(duration) => write!(text, "|{}", duration.as_millis()),
            None => write!(text, "|-"),
        };
        let _ = match event.exit_code() {
            Some(code) => write!(text, "|{code}"),
            None => write!(text, "|-"),
        };
        text
    }
}

impl Backend for Skew {
    type Config = Config;

    fn open(config: Config, host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        Ok(Self { config, host })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        Outcomes::Each(batch.iter().map(|event| self.outcome(&event, call)).collect())
    }

    fn close(&self, _call: &Call<'_>) -> Result<(), Error> {
        self.config.close.clone().map_or(Ok(()), |why| Err(Error::failed(why)))
    }
}

impl DeletesData for Skew {
    fn request_deletion(&self, request: &DeletionRequest<'_>, _call: &Call<'_>) -> Deletion {
        Deletion::Sent(format!("{} in {} event", request.machine_id(), request.event().len()))
    }
}

impl Diagnoses for Skew {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        _call: &Call<'_>,
    ) -> Result<(), Error> {
        for event in batch {
            sink("an event", event.json().as_bytes());
        }
        Ok(())
    }

    fn probe(&self, _call: &Call<'_>) -> Probe {
        Probe::Reachable("always".to_owned())
    }
}

export! {
    backend: Skew,
    name: "skew",
    vendor: "Jackfield",
    description: "does what its events' names say",
    requires: &["log", "cancel"],
    offers: [deletion, diagnostics],
    config_schema: r#"{"type":"object","properties":{"close":{"type":"string"}},"additionalProperties":false}"#,
}
