//! The host's side of Jackfield: from a name in a configuration to a guarded backend.
//!
//! A plugin passes through stages, each a module with its own error: `find` → `inspect` → `verify` → `load` → `check`,
//! and every call of it through the `guard`.
#![allow(unsafe_code, reason = "the boundary to foreign code: every crate above is spared it")]

mod backend;
mod batch;
mod check;
mod compiled;
mod confine;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod exit;
pub mod files;
mod find;
mod guard;
mod host;
mod image;
mod inspect;
mod isolated;
mod load;
mod log;
mod os;
mod plugin;
mod process;
pub mod reexec;
mod registry;
mod regular;
mod text;
mod verify;

pub use jackfield_plugin_api as plugin_api;

pub use crate::regular::{open_regular, read_regular};
pub use crate::{
    backend::{Backend, BackendOptions, CloseError, OpenError},
    batch::{Batch, BatchWriter, EventFields},
    check::{CheckError, Layout},
    compiled::StaticBackend,
    confine::{ConfineError, Limits, Sandbox},
    error::Error,
    exit::exit,
    find::{FindError, FolderState, find, list},
    guard::{
        Backoff, CloseFailure, Failure, Latency, Message, OpenFailure, Preview, PreviewError, ProcessStats,
        Report, Stats, Unsent,
    },
    image::ImageError,
    inspect::{
        Abi, Endian, Format, InspectError, Inspection, Metadata, PanicStrategy, Refusal, inspect_bytes,
    },
    isolated::{Crash, Isolation, MOST_CRASHES, ProcessOptions, crashes},
    load::LoadError,
    plugin::{Candidate, Plugin, Verified, inspect},
    process::process_id,
    reexec::{Job, Program, init},
    registry::{DEFAULT_IMAGE_LIMIT, hanging_load, image_limit, limit_loaded_images, loaded_images},
    text::show as show_path,
    verify::{
        Digest, KeyId, Minimum, ParseKeyError, ParsePinError, ParseTrustError, Pin, PinError, Pins, Policy,
        PublicKey, Signature, SignatureError, Trust, VerifyError,
    },
};
