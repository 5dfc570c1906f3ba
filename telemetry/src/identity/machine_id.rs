//! The pseudonymous id of this machine.
//!
//! The id is the first 128 bits of a SHA-256 over the tool's name and the operating system's id of the machine. The same
//! tool on the same machine always gets the same id. Two tools get two ids that can't be linked, and the system's id, which
//! other programs know, can't be computed from them. The id is *pseudonymous*, not anonymous: it shows that events come from
//! the same machine. [`MachineIdFile`] stores it.
//!
//! # Platform
//! Linux: `/etc/machine-id`, then `/var/lib/dbus/machine-id`. Elsewhere: what the crate `machine-uid` finds. A machine
//! without such an id (a container, often) gets a random one that lasts as long as the process.

use std::sync::OnceLock;

#[cfg(target_os = "linux")]
use jackfield_loader::files::{Access, read};
use sha2::{Digest as _, Sha256};

/// The derived id for `tool`: 32 hexadecimal digits.
pub(crate) fn id(tool: &str) -> String {
    static SYSTEM: OnceLock<String> = OnceLock::new();
    derive(tool, SYSTEM.get_or_init(|| system_id().unwrap_or_else(|| uuid::Uuid::now_v7().to_string())))
}

pub(super) fn derive(tool: &str, system: &str) -> String {
    let digest = Sha256::new()
        .chain_update("jackfield machine id\0")
        .chain_update(tool)
        .chain_update("\0")
        .chain_update(system)
        .finalize();
    jackfield_loader::hex(&digest[..16])
}

#[cfg(target_os = "linux")]
fn system_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| read(path.as_ref(), Access::ReadLinked, 4096).ok().and_then(|text| plausible(&text)))
}

#[cfg(not(target_os = "linux"))]
fn system_id() -> Option<String> {
    machine_uid::get().ok().and_then(|text| plausible(&text))
}

/// An image that has not been booted yet has an empty id, or the word "uninitialized"; all its clones would share it.
fn plausible(text: &str) -> Option<String> {
    let id = text.trim();
    let known = id.len() >= 8 && id != "uninitialized" && id.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    known.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_same_each_time_and_32_hexadecimal_digits() {
        assert_eq!(id("tool"), id("tool"));
        assert_eq!(id("tool").len(), 32);
        assert!(id("tool").bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn two_tools_on_one_machine_can_not_be_linked() {
        assert_ne!(id("one"), id("two"));
    }

    #[test]
    fn two_machines_differ_for_the_same_tool() {
        assert_ne!(derive("tool", "4c1c5d3a"), derive("tool", "4c1c5d3b"));
    }

    #[test]
    fn an_image_that_was_never_booted_has_no_id() {
        for text in ["", "\n", "uninitialized\n", "00000000000000000000000000000000\n"] {
            assert_eq!(plausible(text), None, "{text:?}");
        }
        assert_eq!(plausible("9f5b1ce2a4\n").as_deref(), Some("9f5b1ce2a4"));
    }
}
