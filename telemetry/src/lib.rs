//! A tool's telemetry through backends that are dynamic libraries chosen by configuration.
//!
//! [`Telemetry`] is what a tool embeds: events that its author tracks and its user consents to are redacted, spooled on disk,
//! and delivered without the tool ever waiting for a network. [`Builder`] says what can be set, `commands` (feature `clap`)
//! what the user rules by.
//!
//! For programs that pass events on, [`Lines`] and [`EventBuffer`] make batches of JSON Lines, [`Config`] says which backends
//! get them, and a [`Delivery`] drives one backend.
//!
//! # Features
//! `clap`: the management commands. `tracing-layer`: marked events and spans of `tracing` as telemetry.
//! `watch`: a service reloads by itself when its configuration or a plugin changes.
#![forbid(unsafe_code)]

mod buffer;
mod builder;
#[cfg(feature = "clap")]
pub mod commands;
mod config;
mod consent;
mod control;
mod courier;
mod data_folder;
mod deletion;
mod detached;
mod doctor;
mod duration;
mod environment;
mod error;
mod event;
mod fill;
mod flushed;
mod forward;
mod gate;
mod ids;
mod init;
mod kind;
#[cfg(feature = "tracing-layer")]
pub mod layer;
mod lines;
mod lock;
mod machine;
mod memory;
mod outbox;
mod per_process;
mod places;
mod private_file;
mod quiet;
mod record;
mod redact;
mod reload;
mod retry;
mod schema;
mod scope;
mod search_path;
mod selection;
mod show;
mod size;
pub mod spool;
mod spools;
mod status;
mod telemetry;
mod toml_text;
mod track;
mod value;
#[cfg(feature = "watch")]
mod watch;
mod writable;

pub use crate::{
    buffer::EventBuffer,
    builder::{Builder, Deliver},
    config::{BackendConfig, Config, ConfigFile, PluginsConfig},
    consent::{
        Answer, Collection, Consent, ConsentOptions, ConsentSource, FirstRun, Prompt, TerminalPrompt,
        Variable, Why, prompt_text,
    },
    control::{Disabled, Discarded, Reset},
    deletion::{DeletionRequestor, EmailDeletion, Receipt, ReceiptOutcome},
    doctor::{Finding, Verdict},
    duration::parse_duration,
    environment::{Environment, ProcessEnvironment},
    error::{Error, Place},
    event::MAX_LINE,
    fill::Fill,
    flushed::{Flushed, Waiting},
    forward::{Forwarder, Pushed},
    init::{init, init_with},
    kind::{DeliveryMode, EventKind},
    lines::{Line, Lines},
    lock::Lock,
    machine::{MachineId, MachineIdFile},
    memory::MemoryBackend,
    outbox::{BackendState, Delivery, DeliveryOptions, Fate, Problem, Resent, ResentTo},
    redact::{EventParts, REDACTED, RedactedParts, redact, redact_parts},
    reload::{LastReload, LiveBackend, LivePlugin, Reloaded},
    retry::Stop,
    schema::suggest_key,
    scope::CommandScope,
    search_path::default_search_path,
    selection::{BackendInfo, Chosen},
    show::{Outgoing, Shown},
    size::parse_size,
    status::{BackendStatus, Status},
    telemetry::Telemetry,
    track::Event,
};

/// Ends the process without running what plugins have left behind for its end.
pub use jackfield_loader::exit;
/// What a request for deletion comes to, and what a backend that is compiled into a tool is made of.
pub use jackfield_loader::plugin_api::{self, Deletion};
/// What a plugin's process may use and touch.
pub use jackfield_loader::{Limits, Sandbox};
