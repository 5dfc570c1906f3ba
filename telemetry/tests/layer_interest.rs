//! What the layer wants to hear of. `tracing` keeps that for each call site, of all subscribers of the process together, so
//! this test has a process of its own.

use std::ffi::OsString;

use jackfield::Telemetry;
use tracing::{Level, info_span, subscriber::with_default};
use tracing_subscriber::{layer::SubscriberExt as _, registry};

#[test]
fn call_sites_that_are_not_marked_stay_disabled() {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = || {
        Telemetry::builder("tool", "1.2.3")
            .environment(|_: &str| None::<OsString>)
            .consent_file(folder.path().join("config.toml"))
            .ops_file(folder.path().join("ops.toml"))
            .data_folder(folder.path().join("data"))
            .endpoint("https://telemetry.invalid/")
    };
    let telemetry = builder().build();
    with_default(registry().with(telemetry.layer()), || {
        assert!(!tracing::enabled!(Level::ERROR));
        assert!(!tracing::enabled!(target: "telemetry::x", Level::ERROR));
        assert!(tracing::enabled!(target: "telemetry", Level::TRACE));
        assert!(info_span!("unmarked").is_disabled());
    });
    let off = builder().enabled(false).build();
    with_default(registry().with(off.layer()), || {
        assert!(!tracing::enabled!(target: "telemetry", Level::ERROR));
    });
}
