//! The collection of attacks on the command: hostile files, files that are swapped, plugins that misbehave, and every system
//! call in a sandbox. `scripts/test --attack` runs it against release binaries, more rounds of what is a race included.
#![cfg(target_os = "linux")]

mod behaviours;
mod calls;
mod files;
// The generators of the loader's own tests.
#[path = "../../../../loader/tests/common/mod.rs"]
mod libraries;
mod races;
mod schemas;

/// Says how many attacks of a kind were tried: `scripts/test --attack` shows these lines.
#[allow(clippy::print_stdout, reason = "it reports as a harness does")]
fn tried(what: &str, count: usize) {
    println!("attack: {what}: {count} tried");
}
