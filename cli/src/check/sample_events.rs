//! Events of every shape.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    env::consts::{ARCH, OS},
};

use jackfield_loader::{Batch, EventFields};
use serde_json::{Value, json};

/// One event.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) os_version: String,
    pub(super) error: Option<String>,
    pub(super) args: Option<Vec<String>>,
    pub(super) metadata: Option<Vec<(String, String)>>,
    pub(super) duration_ms: Option<u64>,
    pub(super) exit_code: Option<i64>,
    /// Every string is empty, even those that a tool always sets.
    pub(super) blank: bool,
    /// The JSON has a member that no version knows.
    pub(super) further: bool,
}

/// The time of every sample. It is the current time, because some platforms refuse old events.
struct Time {
    text: String,
    nanos: i64,
}

impl Sample {
    pub(super) fn new(number: usize) -> Self {
        Self {
            id: format!("{ID}{number:012x}"),
            name: "check".to_owned(),
            os_version: "1".to_owned(),
            ..Self::default()
        }
    }

    fn to_json(&self, time: &Time) -> String {
        let text = |text: &str| if self.blank { String::new() } else { text.to_owned() };
        let mut members = json!({
            "id": text(&self.id), "timestamp": text(&time.text), "type": text(KIND), "name": text(&self.name),
            "machine_id": text(MACHINE), "tool_name": text(TOOL), "version": text(VERSION),
            "os": text(OS), "arch": text(ARCH), "os_version": text(&self.os_version),
        });
        let metadata = self.metadata.as_ref().map(|pairs| pairs.iter().cloned().collect::<BTreeMap<_, _>>());
        let optional = [
            ("error", self.error.as_ref().map(|error| json!(error))),
            ("args", self.args.as_ref().map(|args| json!(args))),
            ("metadata", metadata.map(|pairs| json!(pairs))),
            ("duration_ms", self.duration_ms.map(Value::from)),
            ("exit_code", self.exit_code.map(Value::from)),
            ("of_a_later_version", self.further.then(|| json!({"list": [1, null, {"deep": true}]}))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                members[key] = value;
            }
        }
        members.to_string()
    }
}

/// The start of each id. The number of the event follows, in 12 hexadecimal digits.
const ID: &str = "01890a5d-ac96-774b-bcce-";

const KIND: &str = "feature.used";
/// The machine of every sample.
pub(super) const MACHINE: &str = "00000000000000000000000000000000";
const TOOL: &str = "jackfield-check";
const VERSION: &str = "1.0.0";

/// A batch of these events.
pub(super) fn batch(samples: Vec<Sample>) -> Batch {
    let now = jiff::Timestamp::now();
    let nanos = i64::try_from(now.as_nanosecond()).unwrap_or_default();
    let time = Time { text: now.to_string(), nanos };
    let samples: Vec<(String, Sample)> =
        samples.into_iter().map(|sample| (sample.to_json(&time), sample)).collect();
    let built = Batch::build((samples, time), |(samples, time), writer| {
        for (json, sample) in samples {
            let args: Option<Vec<&str>> =
                sample.args.as_ref().map(|args| args.iter().map(String::as_str).collect());
            let metadata: Option<Vec<(&str, &str)>> = sample
                .metadata
                .as_ref()
                .map(|pairs| pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect());
            let text = |text| if sample.blank { "" } else { text };
            writer.push(&EventFields {
                json,
                id: text(&sample.id),
                timestamp: text(&time.text),
                kind: text(KIND),
                name: text(&sample.name),
                machine_id: text(MACHINE),
                tool_name: text(TOOL),
                tool_version: text(VERSION),
                os: text(OS),
                arch: text(ARCH),
                os_version: text(&sample.os_version),
                runtime_version: "",
                error: sample.error.as_deref(),
                args: args.as_deref(),
                metadata: metadata.as_deref(),
                time_unix_nanos: time.nanos,
                duration_ms: sample.duration_ms,
                exit_code: sample.exit_code,
            });
        }
        Ok::<_, Infallible>(())
    });
    match built {
        Ok(batch) => batch,
        Err(never) => match never {},
    }
}

/// More events than a host sends at a time, so that a table of a fixed size is too short.
pub(super) const LARGE: usize = 5000;

/// A batch of `count` ordinary events.
pub(super) fn ordinary(count: usize) -> Batch {
    let sample = |number| Sample {
        metadata: Some(vec![("key".to_owned(), "value".to_owned())]),
        duration_ms: Some(12),
        ..Sample::new(number)
    };
    batch((0..count).map(sample).collect())
}

/// The numbers of the events whose ids are in these bytes.
pub(super) fn numbers_in(bytes: &[u8]) -> BTreeSet<usize> {
    let text = String::from_utf8_lossy(bytes);
    let number = |rest: &str| usize::from_str_radix(rest.get(..12)?, 16).ok();
    text.split(ID).skip(1).filter_map(number).collect()
}

/// Characters of each plane of Unicode, and characters that are known to cause faults.
pub(super) fn planes() -> Vec<String> {
    let mut texts: Vec<String> = (0..=16_u32)
        .map(|plane| {
            let points = [0x21, 0xA9, 0x300, 0x5D0, 0x1F600 & 0xFFFF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF];
            points.iter().filter_map(|point| char::from_u32((plane << 16) | point)).collect()
        })
        .collect();
    texts.push((0..=0x9F_u32).filter_map(char::from_u32).collect());
    texts.extend(
        ["e\u{301}\u{200d}\u{feff}\u{2028}\u{2029}\u{202e}", "\\\"'`</script>{}%s%n$(x)", "\0"]
            .map(str::to_owned),
    );
    texts
}

/// Every combination of absent, empty and set.
pub(super) fn shapes() -> Vec<Sample> {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let pairs =
        |count: usize| (0..count).map(|n| (format!("key{n}"), format!("value{n}"))).collect::<Vec<_>>();
    let mut samples = Vec::new();
    for args in [None, Some(Vec::new()), Some(texts(&["", "--flag", "value"]))] {
        for metadata in [None, Some(Vec::new()), Some(pairs(1)), Some(pairs(500))] {
            for set in [false, true] {
                samples.push(Sample {
                    args: args.clone(),
                    metadata: metadata.clone(),
                    error: set.then(|| "failed".to_owned()),
                    duration_ms: set.then_some(u64::MAX),
                    exit_code: set.then_some(i64::MIN),
                    os_version: if set { "1".to_owned() } else { String::new() },
                    ..Sample::new(samples.len())
                });
            }
        }
    }
    samples.push(Sample {
        error: Some(String::new()),
        duration_ms: Some(0),
        exit_code: Some(0),
        ..Sample::new(samples.len())
    });
    samples.push(Sample { blank: true, ..Sample::new(samples.len()) });
    samples.push(Sample {
        metadata: Some(
            [("", ""), ("key", ""), ("id", "a member's name"), ("$x.y", "dots")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        ),
        ..Sample::new(samples.len())
    });
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_by_their_ids() {
        let sent =
            [0, 17, 4999].map(|number| Sample::new(number).to_json(&Time { text: String::new(), nanos: 0 }));
        assert_eq!(numbers_in(sent.join("\n").as_bytes()), BTreeSet::from([0, 17, 4999]));
        assert!(numbers_in(ID.as_bytes()).is_empty());
    }

    #[test]
    fn every_plane_has_characters_and_every_json_is_one_line() {
        let planes = planes();
        for plane in 0..=16_u32 {
            assert!(planes.iter().any(|text| text.chars().any(|c| c as u32 >> 16 == plane)), "plane {plane}");
        }
        let batch = batch(shapes());
        for event in &batch.view() {
            assert!(!event.json().contains('\n'));
            let json: Value = serde_json::from_str(event.json()).expect("JSON");
            assert_eq!(json["name"], event.name());
            assert_eq!(json.get("args").is_some(), event.args().is_some());
        }
    }
}
