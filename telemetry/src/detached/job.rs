//! The job of a detached child: what the tool passes to it.
//!
//! JSON, read once. The child is the tool's own executable, so no other version reads the job; a helper program of another
//! version refuses it.

use std::{fs::File, io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::serialized::Handed;
use crate::consent::consent::{Collection, ConsentOptions};
use crate::detached::lock::Mark;
use crate::event::delivery_mode::DeliveryMode;
use crate::spool::limits::Limits;

/// What the child knows.
#[derive(Serialize, Deserialize)]
pub(super) struct DeliveryJob {
    /// Ours, not the tool's.
    pub(super) release: String,
    pub(super) tool: String,
    pub(super) version: String,
    pub(super) data: PathBuf,
    /// Whether it is the spool for what stays on the machine.
    pub(super) local: bool,
    /// What the backends were chosen by.
    #[serde(with = "CollectionText")]
    pub(super) collection: Collection,
    #[serde(with = "ModeText")]
    pub(super) mode: DeliveryMode,
    pub(super) consent: Asked,
    pub(super) limits: LimitsText,
    pub(super) backends: Vec<Handed>,
    /// Stamps of the plugins' files. Only for the mark: a replaced plugin is a reason for another child.
    pub(super) fingerprints: Vec<String>,
    pub(super) lifetime: Duration,
    /// Whether a path in a plugin's configuration may start at the working folder.
    pub(super) stays_in_folder: bool,
}

/// Where consent is read from.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) prefix: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) force_enabled: bool,
    pub(super) unprefixed_opt_in: bool,
    /// The variables that count, as the tool has them.
    pub(super) variables: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Collection")]
enum CollectionText {
    Off,
    LocalOnly,
    On,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeliveryMode")]
enum ModeText {
    AtLeastOnce,
    AtMostOnce,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct LimitsText {
    bytes: u64,
    events: u64,
    age: Duration,
    segment_bytes: u64,
    dead_letter_bytes: u64,
    dead_letter_events: u64,
    #[serde(default)]
    refuse_when_full: bool,
}

impl From<&Limits> for LimitsText {
    fn from(limits: &Limits) -> Self {
        let Limits {
            max_bytes,
            max_events,
            max_age,
            segment_bytes,
            dead_letter_bytes,
            dead_letter_events,
            refuse_when_full,
        } = *limits;
        Self {
            bytes: max_bytes,
            events: max_events,
            age: max_age,
            segment_bytes,
            dead_letter_bytes,
            dead_letter_events,
            refuse_when_full,
        }
    }
}

impl From<LimitsText> for Limits {
    fn from(text: LimitsText) -> Self {
        Self {
            max_bytes: text.bytes,
            max_events: text.events,
            max_age: text.age,
            segment_bytes: text.segment_bytes,
            dead_letter_bytes: text.dead_letter_bytes,
            dead_letter_events: text.dead_letter_events,
            refuse_when_full: text.refuse_when_full,
        }
    }
}

impl Asked {
    pub(super) fn options(&self) -> ConsentOptions {
        ConsentOptions {
            prefix: self.prefix.clone(),
            file: self.file.clone(),
            force_enabled: self.force_enabled,
            unprefixed_opt_in: self.unprefixed_opt_in,
        }
    }
}

impl DeliveryJob {
    pub(super) fn release() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// The text that the child inherits.
    pub(super) fn to_text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The job of this text.
    pub(super) fn parse(text: &[u8]) -> io::Result<Self> {
        let job: Self = serde_json::from_slice(text)?;
        if job.release != Self::release() {
            let reason = format!("a job of version {}, this is {}", job.release, Self::release());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(job)
    }
}

/// The mark of this text. It shows nothing of the text.
pub(super) fn mark(text: &[u8]) -> Mark {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    std::array::from_fn(|at| {
        let byte = digest[at / 2];
        DIGITS[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })]
    })
}

/// A descriptor from which the text can be read, in memory alone.
#[cfg(target_os = "linux")]
pub(super) fn hand_over(text: &[u8]) -> io::Result<File> {
    use std::io::{Seek as _, Write as _};
    let name = "jackfield-orders";
    let mut file = File::from(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

/// A pipe from which the text can be read. Nobody reads before the whole text is written, so a text that is longer than the
/// pipe's buffer is refused.
#[cfg(not(target_os = "linux"))]
pub(super) fn hand_over(text: &[u8]) -> io::Result<File> {
    use std::{io::Write as _, os::fd::OwnedFd};
    const LONGEST: usize = 16 << 10;
    if text.len() > LONGEST {
        return Err(io::Error::other(format!("{} bytes to hand over, limit {LONGEST}", text.len())));
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(text)?;
    Ok(File::from(OwnedFd::from(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_digits_and_another_one_for_another_text() {
        assert_eq!(&mark(b"a"), b"ca978112ca1bbdca");
        assert_ne!(mark(b"a"), mark(b"b"));
    }
}
