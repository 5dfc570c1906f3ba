//! The host's side of Jackfield: from a name in a configuration to a guarded backend.
//!
//! A plugin passes through stages, each a module with its own error: `find` → `inspect` → `verify` → `load` →
//! `check`, and every call of it through the `guard`.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]
#![cfg_attr(
    not(all(any(target_os = "linux", windows), feature = "isolation")),
    allow(dead_code, unused_imports, reason = "what only a plugin in a process of its own needs")
)]
#![allow(unsafe_code, reason = "the boundary to foreign code: every crate above is spared it")]

mod backend;
mod boundary;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod files;
mod guard;
mod inspect;
mod isolated;
mod library;
mod load;
mod plugin;
pub mod reexec;
mod sandbox;
mod verify;

pub use jackfield_plugin_api as plugin_api;

#[cfg(all(target_os = "linux", feature = "fuzzing"))]
pub use crate::isolated::fuzzing::{HostileChild, hostile_child};

pub use crate::{
    backend::{Backend, StaticBackend},
    boundary::{
        batch::{Batch, BatchWriter, EventFields},
        host_services::host_handles,
        log::log_targets,
        process::{exit, limit_heaps, process_id},
        signals,
        text::{
            ForeignText, count, escape_in_json, hex, in_prose, nearest, show as show_path, span, to_json,
            to_json_pretty,
        },
    },
    guard::{
        circuit_breaker::Backoff,
        error::{CloseError, CloseFailure, OpenError, OpenFailure, Stage},
        options::{BackendOptions, Isolation, ProcessOptions},
        preview::{Message, Preview, PreviewError, Unsent},
        report::{Failure, Report},
        stats::{LATENCY_BOUNDS, Latency, ProcessStats, Stats, stuck_calls},
    },
    inspect::{
        error::{InspectError, Refusal},
        facts::{Endian, Format},
        inspect_bytes,
        inspection::Inspection,
        metadata::{Abi, IsolationNeed, Metadata, PanicStrategy},
    },
    isolated::{
        crash::{Crash, MOST_CRASHES, crashes},
        init,
    },
    library::{
        built_in::{BuiltInPlugin, add_built_in},
        content::Digest,
        error::ImageError,
        find::{FindError, FolderState, home, list},
        location::Location,
    },
    load::{
        check::{CheckError, Layout},
        dlopen::LoadError,
        loaded_libraries::{
            DEFAULT_IMAGE_LIMIT, hanging_load, image_limit, limit_loaded_images, loaded_bytes, loaded_images,
        },
    },
    plugin::{Candidate, Error, Plugin, Verified, find, inspect},
    reexec::{entry::Job, program::Program},
    sandbox::{Sandbox, error::SandboxError, limits::Limits},
    verify::{
        error::VerifyError,
        pin::{LockError, Minimum, ParsePinError, Pin, PinError, Pins},
        policy::Policy,
        signature::{KeyId, ParseKeyError, ParseSignatureError, PublicKey, Signature, SignatureError},
        trust::{ParseTrustError, Trust},
    },
};
