//! A tool's telemetry through backends that are dynamic libraries chosen by configuration.
//!
//! [`Lines`] and [`EventBuffer`] make batches of JSON Lines, [`Config`] says which backends get them, and a [`Delivery`]
//! drives one backend: it tries again, splits what is too large, and says what became of each event.
#![forbid(unsafe_code)]

mod buffer;
mod config;
mod consent;
mod delivery;
mod duration;
mod environment;
mod error;
mod event;
mod fill;
mod ids;
mod kind;
mod lines;
mod machine;
mod outbox;
mod private_file;
mod record;
mod redact;
mod retry;
mod schema;
mod search_path;
pub mod spool;
mod toml_text;
mod value;

pub use crate::{
    buffer::EventBuffer,
    config::{BackendConfig, Config, ConfigFile, PluginsConfig},
    consent::{
        Answer, Collection, Consent, ConsentOptions, ConsentSource, FirstRun, Prompt, TerminalPrompt,
        Variable, Why, prompt_text,
    },
    delivery::{Delivery, DeliveryOptions, Fate, Sender},
    duration::parse_duration,
    environment::{Environment, ProcessEnvironment},
    error::{Error, Place},
    event::MAX_LINE,
    fill::Fill,
    kind::{DeliveryMode, EventKind},
    outbox::{BackendState, Problem},
    lines::{Line, Lines},
    machine::{MachineId, MachineIdFile},
    redact::{EventParts, REDACTED, RedactedParts, redact, redact_parts},
    retry::Stop,
    schema::suggest_key,
    search_path::default_search_path,
};
