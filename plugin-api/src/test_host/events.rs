//! Events of a test, from their JSON.

use std::{collections::BTreeMap, fmt};

use serde_core::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    abi,
    event::{Batch, EventFields},
};

/// A batch and its memory.
pub(super) struct OwnedBatch {
    events: Vec<abi::Event>,
    _memory: Vec<Owned>,
}

/// The memory of one event. Each text and list keeps its address when the struct moves.
struct Owned {
    _json: String,
    _members: Members,
    _args: Vec<abi::Str>,
    _metadata: Vec<abi::Pair>,
}

/// The members of an event.
#[derive(Default)]
struct Members {
    plain: BTreeMap<String, Value>,
    /// In the order of the JSON. A number or a boolean is its text.
    metadata: Option<Pairs>,
}

#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "metadata" {
                self.metadata = Some(map.next_value()?);
            } else {
                self.plain.insert(key, map.next_value()?);
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            self.0.push((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        Ok(self)
    }
}

impl OwnedBatch {
    pub(super) fn new(events: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let (events, memory) = events.into_iter().map(|json| read(json.into())).unzip();
        Self { events, _memory: memory }
    }

    pub(super) fn view(&self) -> Batch<'_> {
        // SAFETY: the views lead into `_memory`, which is not changed.
        unsafe { Batch::from_events(&self.events) }
    }
}

fn read(json: String) -> (abi::Event, Owned) {
    let members: Members = serde_json::from_str(&json)
        .unwrap_or_else(|error| panic!("an event is a JSON object: {error}: {json}"));
    let member = |key| members.plain.get(key);
    let text = |key| member(key).and_then(Value::as_str).unwrap_or_default();
    let pairs = members.metadata.iter().flat_map(|pairs| &pairs.0);
    let pair =
        |(key, value): &(String, String)| abi::Pair { key: abi::Str::new(key), value: abi::Str::new(value) };
    let metadata: Vec<abi::Pair> = pairs.map(pair).collect();
    let list = member("args").and_then(Value::as_array);
    let args: Vec<abi::Str> =
        list.into_iter().flatten().filter_map(Value::as_str).map(abi::Str::new).collect();
    let fields = EventFields {
        json: &json,
        id: text("id"),
        timestamp: text("timestamp"),
        kind: text("type"),
        name: text("name"),
        machine_id: text("machine_id"),
        tool_name: text("tool_name"),
        tool_version: text("version"),
        os: text("os"),
        arch: text("arch"),
        os_version: text("os_version"),
        runtime_version: text("runtime_version"),
        error: member("error").and_then(Value::as_str),
        args: list.is_some().then_some(&[]),
        metadata: members.metadata.is_some().then_some(&[]),
        time_unix_nanos: nanoseconds(text("timestamp")).unwrap_or_default(),
        duration_ms: member("duration_ms").and_then(Value::as_u64),
        exit_code: member("exit_code").and_then(Value::as_i64),
    };
    let event = fields.to_abi(
        abi::StrList { ptr: args.as_ptr(), len: args.len() },
        abi::PairList { ptr: metadata.as_ptr(), len: metadata.len() },
    );
    (event, Owned { _json: json, _members: members, _args: args, _metadata: metadata })
}

/// A time of RFC 3339 in UTC, such as `2026-01-31T23:59:59.5Z`, since 1970.
///
/// Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, `days_from_civil`.
fn nanoseconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let seconds = time.next()?? * 3600 + time.next()?? * 60 + time.next()??;
    let fraction: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    (days * 86_400 + seconds).checked_mul(1_000_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_fields_of_its_json() {
        let json = r#"{"type":"t","name":"n","id":"1","timestamp":"2026-01-31T23:59:59.5Z","version":"2","args":["x","y"],
            "metadata":{"text":"a","number":1.5},"duration_ms":7,"exit_code":-1,"error":"e"}"#;
        let batch = OwnedBatch::new([json, "{}"]);
        let moved = batch;
        let view = moved.view();
        let event = view.get(0).expect("the first");
        assert_eq!((event.kind(), event.name(), event.id(), event.tool_version()), ("t", "n", "1", "2"));
        assert_eq!(event.args().expect("there").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(event.metadata().collect::<Vec<_>>(), [("text", "a"), ("number", "1.5")]);
        assert_eq!(event.time_unix_nanos(), 1_769_903_999_500_000_000);
        assert_eq!(event.duration().map(|took| took.as_millis()), Some(7));
        assert_eq!((event.exit_code(), event.error()), (Some(-1), Some("e")));
        let empty = view.get(1).expect("the second");
        assert_eq!((empty.json(), empty.error(), empty.exit_code()), ("{}", None, None));
        assert!(empty.args().is_none() && empty.duration().is_none());
    }
}
