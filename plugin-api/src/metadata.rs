//! A plugin's metadata: JSON in a section of its own, written when the plugin is compiled.
//!
//! The section is `.jackfield` in ELF, `.jackfld` in PE and `__DATA,__jackfield` in Mach-O. It has one JSON object
//! and nothing else; `objcopy -O binary -j .jackfield lib.so /dev/stdout` shows it. The members of the object:
//!
//! | member | type | meaning |
//! | --- | --- | --- |
//! | `format` | integer | 1: this table |
//! | `name`, `version`, `vendor`, `description` | string | the plugin; `vendor` and `description` may be empty |
//! | `abi` | `{"major": 1, "minor": 0}` | the ABI it was built against |
//! | `digest` | string | 16 hexadecimal digits: [`DIGEST`](crate::DIGEST) |
//! | `requires` | list of strings | capabilities that the host must have |
//! | `offers` | list of strings | capabilities that the plugin has |
//! | `serial` | boolean | whether `send` must not run twice at once |
//! | `acknowledges` | boolean, `true` if absent | whether an event that is reported as delivered was acknowledged by the platform, which a backend over UDP can't know |
//! | `isolation` | string, `thread` if absent | `process` for a plugin that can run only in a process of its own: a host isolates it without being told |
//! | `target` | string | target triple |
//! | `panic` | string | `unwind`, `abort`, or `none` for a language without panics |
//! | `language`, `compiler` | string | what it was built with, for people |
//! | `config_schema` | JSON Schema or null | of the backend's configuration |
//!
//! Unknown members are ignored, so later versions can add members.

/// Section of the metadata in an ELF file.
pub const SECTION_ELF: &str = ".jackfield";
/// Section of the metadata in a PE file.
pub const SECTION_PE: &str = ".jackfld";
/// Segment and section of the metadata in a Mach-O file.
pub const SECTION_MACHO: (&str, &str) = ("__DATA", "__jackfield");

/// Value of the member `format`.
pub const FORMAT: u32 = 1;

/// Capabilities that every host of this ABI has: it takes log records, it says whether a call or a backend is cancelled,
/// and, where the plugin runs in the tool's own process, standard output is the tool's.
pub const HOST_CAPABILITIES: &[&str] = &["log", "cancel", CAPABILITY_STDOUT];

/// The capability that a plugin requires if its purpose is to print to the tool's standard output. An isolated plugin has no
/// standard output.
pub const CAPABILITY_STDOUT: &str = "stdout";

/// Target triple that this crate is being compiled for.
pub const TARGET: &str = env!("JACKFIELD_TARGET");

/// Compiler that this crate is being compiled with.
pub const COMPILER: &str = env!("JACKFIELD_COMPILER");

/// The facts of a plugin that [`export!`](crate::export!) knows.
#[doc(hidden)]
pub struct Facts {
    pub name: &'static str,
    pub version: &'static str,
    pub vendor: &'static str,
    pub description: &'static str,
    pub requires: &'static [&'static str],
    pub offers: &'static [&'static str],
    pub serial: bool,
    pub acknowledges: bool,
    /// `thread` or `process`.
    pub isolation: &'static str,
    pub panic: &'static str,
    /// A JSON value.
    pub config_schema: &'static str,
}

/// Length of the JSON, in bytes.
#[doc(hidden)]
#[must_use]
pub const fn len(facts: &Facts) -> usize {
    Writer::<0>::write(facts).at
}

/// The JSON. `N` is the result of [`len`].
#[doc(hidden)]
#[must_use]
pub const fn render<const N: usize>(facts: &Facts) -> [u8; N] {
    let writer = Writer::<N>::write(facts);
    assert!(writer.at == N, "N is what `len` says");
    writer.out
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Writes the bytes that fit into `N`, and counts all of them.
struct Writer<const N: usize> {
    out: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn write(facts: &Facts) -> Self {
        let mut w = Self { out: [0; N], at: 0 };
        w.raw("{\"format\":1,\"name\":");
        assert!(!facts.name.is_empty(), "a plugin has a name");
        w.string(facts.name);
        w.raw(",\"version\":");
        w.string(facts.version);
        w.raw(",\"vendor\":");
        w.string(facts.vendor);
        w.raw(",\"description\":");
        w.string(facts.description);
        w.raw(",\"abi\":{\"major\":");
        w.number(crate::abi::ABI_MAJOR);
        w.raw(",\"minor\":");
        w.number(crate::abi::ABI_MINOR);
        w.raw("},\"digest\":\"");
        w.hex(crate::layout::DIGEST);
        w.raw("\",\"requires\":");
        w.strings(facts.requires);
        w.raw(",\"offers\":");
        w.strings(facts.offers);
        w.raw(",\"serial\":");
        w.raw(if facts.serial { "true" } else { "false" });
        // Absent, it says so.
        if !facts.acknowledges {
            w.raw(",\"acknowledges\":false");
        }
        if equal(facts.isolation, "process") {
            w.raw(",\"isolation\":\"process\"");
        } else {
            assert!(equal(facts.isolation, "thread"), "`isolation` is \"thread\" or \"process\"");
        }
        w.raw(",\"target\":");
        w.string(TARGET);
        w.raw(",\"panic\":");
        w.string(facts.panic);
        w.raw(",\"language\":\"rust\",\"compiler\":");
        w.string(COMPILER);
        w.raw(",\"config_schema\":");
        w.raw(facts.config_schema);
        w.raw("}");
        w
    }

    const fn byte(&mut self, byte: u8) {
        if self.at < N {
            self.out[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.byte(b'"');
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                bytes[at] >= 0x20 && bytes[at] != b'"' && bytes[at] != b'\\',
                "metadata takes no quote, backslash or control character"
            );
            self.byte(bytes[at]);
            at += 1;
        }
        self.byte(b'"');
    }

    const fn strings(&mut self, list: &[&str]) {
        self.byte(b'[');
        let mut at = 0;
        while at < list.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(list[at]);
            at += 1;
        }
        self.byte(b']');
    }

    const fn number(&mut self, value: u32) {
        if value >= 10 {
            self.number(value / 10);
        }
        self.byte(b'0' + (value % 10) as u8);
    }

    const fn hex(&mut self, value: u64) {
        let mut shift = 64;
        while shift > 0 {
            shift -= 4;
            self.byte(b"0123456789abcdef"[(value >> shift) as usize & 15]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        name: "stdout",
        version: "10.20.305",
        vendor: "Jäckfield",
        description: "",
        requires: &["log", "cancel"],
        offers: &[],
        serial: true,
        acknowledges: false,
        isolation: "process",
        panic: "unwind",
        config_schema: "{\"type\": \"object\"}",
    };
    const LEN: usize = len(&FACTS);
    const JSON: [u8; LEN] = render(&FACTS);

    #[test]
    fn the_metadata_is_json_with_every_member() {
        let value: serde_json::Value = serde_json::from_slice(&JSON).expect("JSON");
        assert_eq!(value["format"], FORMAT);
        assert_eq!(value["name"], "stdout");
        assert_eq!(value["version"], "10.20.305");
        assert_eq!(value["vendor"], "Jäckfield");
        assert_eq!(value["abi"]["major"], crate::abi::ABI_MAJOR);
        assert_eq!(value["digest"], format!("{:016x}", crate::layout::DIGEST));
        assert_eq!(value["requires"], serde_json::json!(["log", "cancel"]));
        assert_eq!(value["offers"], serde_json::json!([]));
        assert_eq!(value["serial"], true);
        assert_eq!(value["acknowledges"], false);
        assert_eq!(value["isolation"], "process");
        assert_eq!(value["panic"], "unwind");
        assert_eq!(value["target"], TARGET);
        assert_eq!(value["compiler"], COMPILER);
        assert_eq!(value["config_schema"]["type"], "object");
    }
}
