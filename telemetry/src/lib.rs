//! A tool's telemetry through backends that are dynamic libraries chosen by configuration.
//!
//! [`Telemetry`] is what a tool embeds: events that its author tracks and its user consents to are redacted, spooled on disk,
//! and delivered without the tool ever waiting for a network. [`Builder`] says what can be set, `commands` (feature `clap`)
//! what the user rules by.
//!
//! Programs that pass events on find what they need in [`forward`].
//!
//! # Features
//! By default `config-file`, `isolation` and `signatures`.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `clap` | the management commands |
//! | `config-file` | files of TOML choose the backends. Without it, the tool chooses them in code ([`Builder::send_to`]), a file with more than `[TABLE]`, `KEY = true` and `KEY = false` is refused, and with it a user's file of consent that has more |
//! | `isolation` | `isolation = "process"`; without it, such a backend is not opened |
//! | `layouts` | the type layouts of Rust plugins are compared; without it, the digest of the surface and the sizes of the tables decide, as for plugins in C |
//! | `sandbox` | `[backend.sandbox]`, with `isolation`; without it, a backend with a sandbox is not opened |
//! | `signatures` | `trust = "signed"`; without it, that policy refuses every plugin |
//! | `tracing-layer` | marked events and spans of `tracing` become telemetry |
//! | `watch` | a service reloads by itself when its configuration or a plugin changes |
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]
#![forbid(unsafe_code)]

mod api;
mod config;
mod consent;
mod delivery;
mod detached;
mod error;
mod event;
mod files;
mod identity;
mod instance;
mod process;
mod random;
mod redact;
mod reload;
mod schedule;
pub mod spool;
mod user;

pub use crate::api::builder::Builder;
pub use crate::api::command_scope::CommandScope;
pub use crate::api::global::global;
pub use crate::api::init::{BuiltIn, init, init_with, init_with_jobs};
pub use crate::api::reload::{LiveBackend, LivePlugin};
pub use crate::api::telemetry::Telemetry;
#[cfg(feature = "tracing-layer")]
pub use crate::api::tracing_layer as layer;
pub use crate::config::model::{BackendConfig, Config, PluginsConfig};
pub use crate::config::paths::{Environment, ProcessEnvironment};
pub use crate::config::platforms::{Datadog, PostHog};
pub use crate::consent::consent::{Collection, Consent, ConsentOptions, ConsentReason, Variable};
pub use crate::consent::prompt::{Answer, FirstRun, Prompt, TerminalPrompt, prompt_text};
pub use crate::consent::source::ConsentSource;
pub use crate::delivery::backend_state::{BackendState, Problem};
pub use crate::delivery::memory_backend::MemoryBackend;
pub use crate::delivery::open_backend::OpenError;
pub use crate::delivery::resend::{ResendBackendReport, ResendReport};
pub use crate::delivery::settle::DeliveryMode;
pub use crate::error::{Error, Place};
pub use crate::event::author_rules::EventDraft;
pub use crate::event::event::{Event, EventKind};
pub use crate::event::id::EventId;
pub use crate::event::value::Value;
pub use crate::identity::deletion::{DeletionRequestor, EmailDeletion, Receipt, ReceiptOutcome};
pub use crate::identity::machine_id::{MachineId, MachineIdFile};
pub use crate::instance::select_backends::{BackendInfo, SelectionReason};
pub use crate::instance::settings::Deliver;
pub use crate::redact::bytes::REDACTED;
pub use crate::redact::personal::{PersonalData, PersonalNames};
pub use crate::redact::redact::{
    EventParts, RedactedParts, find_in_message, find_secrets, redact, redact_parts,
};
pub use crate::redact::rule::{Found, Rule, replace_found};
pub use crate::reload::reload::{ReloadError, ReloadReport};
pub use crate::schedule::flush_report::{FlushReport, Waiting};
pub use crate::schedule::scheduler::LastReload;
#[cfg(feature = "clap")]
pub use crate::user::commands;
pub use crate::user::doctor::{Finding, Verdict};
pub use crate::user::opt_out::{DisableReport, Discarded, ResetReport, UnconfirmedEvents};
pub use crate::user::show::{OutgoingBatch, ShowReport};
pub use crate::user::status::{BackendStatus, Status};

/// For programs that pass events on: batches of JSON Lines, a way into a spool, one backend without a spool, and the
/// configuration and its lock as files.
pub mod forward {
    pub use crate::api::forwarder::{Forwarder, PushOutcome};
    pub use crate::config::effective::{EffectiveValue, Origin};
    pub use crate::config::parse::Reading;
    pub use crate::config::paths::{accepted_plugin_name, default_search_path};
    pub use crate::config::plugin_lock::Lock;
    pub use crate::config::schema::fault::Fault;
    pub use crate::config::schema::named_files::NamedFile;
    pub use crate::config::schema::variables::FromVariable;
    pub use crate::config::schema::{OptionsSchema, SchemaError, Unchecked};
    pub use crate::config::source_file::ConfigFile;
    pub use crate::config::values::{ParseDurationError, parse_age, parse_duration};
    pub use crate::config::values::{ParseSizeError, parse_size};
    pub use crate::delivery::check_backend::check_backend;
    pub use crate::delivery::direct::{CancellationToken, Delivery, DeliveryOptions, EventOutcome};
    pub use crate::delivery::open_backend::open_backend;
    pub use crate::event::batch_buffer::EventBuffer;
    pub use crate::event::defaults::EventDefaults;
    pub use crate::event::lines::{Line, Lines};
    pub use crate::event::parse::MAX_LINE;
}

/// Ends the process without running what plugins have left behind for its end.
pub use jackfield_loader::exit;
/// What a request for deletion comes to, and what a backend that is compiled into a tool is made of.
pub use jackfield_loader::plugin_api::{self, Deletion};
/// Text from outside in reports and errors, and JSON that no terminal obeys.
pub use jackfield_loader::{ForeignText, to_json};
/// Where the plugin of a backend is.
pub use jackfield_loader::{Layout, Location};
/// What a plugin's process may use and touch.
pub use jackfield_loader::{Limits, Sandbox};
