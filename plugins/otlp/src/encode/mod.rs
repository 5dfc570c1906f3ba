//! Encodes events as OTLP, directly from the host's memory. [`Encoding`] chooses the format of a record; [`record`] has
//! its content.
//!
//! A record is encoded once, into one buffer, and then copied into the body of a request. The division into bodies
//! needs the sizes of the records first.

mod json;
mod protobuf;
mod record;

use std::collections::HashMap;

use jackfield_http_client::{Entries, Entry};
use jackfield_plugin_api::Batch;

pub(crate) use self::record::FROM_EVENTS;
use self::record::Tool;

/// The format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// Name of the instrumentation scope of all records.
pub(crate) const SCOPE: &str = "Jackfield";

/// The settings of the encoding.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) encoding: Encoding,
    /// Version of the scope.
    version: &'static str,
    /// Attributes of every resource, in addition to those of its tool.
    resource: Vec<(String, String)>,
}

/// The records of a batch in groups, one for each tool.
pub(crate) struct Groups {
    encoding: Encoding,
    /// For each group the part before its records: its resource and the scope.
    prefixes: Vec<Vec<u8>>,
    /// Bytes of all prefixes.
    all_bytes: usize,
    /// Bytes of the longest prefix.
    most_bytes: usize,
    /// For each event of the batch the number of its group.
    of_events: Vec<usize>,
}

impl Encoder {
    pub(crate) fn new(
        encoding: Encoding,
        version: &'static str,
        resource: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self { encoding, version, resource: resource.into_iter().collect() }
    }

    /// Encodes a batch with this observed time, in nanoseconds since 1970.
    pub(crate) fn encode(&self, batch: &Batch<'_>, observed: u64) -> Entries<Groups> {
        let mut prefixes = Vec::new();
        let mut of_events = Vec::with_capacity(batch.len());
        let mut numbers: HashMap<Tool<'_>, usize> = HashMap::new();
        let mut last: Option<(Tool<'_>, usize)> = None;
        let entries = Entries::encode(batch, |event, out| {
            let tool = Tool::of(&event);
            let group = match &last {
                Some((same, group)) if *same == tool => *group,
                _ => *numbers.entry(tool).or_insert_with(|| {
                    prefixes.push(self.prefix(&tool));
                    prefixes.len() - 1
                }),
            };
            last = Some((tool, group));
            of_events.push(group);
            match self.encoding {
                Encoding::Protobuf => protobuf::record(&event, observed, out),
                Encoding::Json => json::record(&event, observed, out),
            }
            Ok(())
        });
        let all_bytes = prefixes.iter().map(Vec::len).sum();
        let most_bytes = prefixes.iter().map(Vec::len).max().unwrap_or(0);
        entries.sharing(Groups { encoding: self.encoding, prefixes, all_bytes, most_bytes, of_events })
    }

    /// The part of a group before its records.
    fn prefix(&self, tool: &Tool<'_>) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(512);
        match self.encoding {
            Encoding::Protobuf => protobuf::group(tool, &self.resource, self.version, &mut prefix),
            Encoding::Json => json::group(tool, &self.resource, self.version, &mut prefix),
        }
        prefix
    }
}

impl Groups {
    /// Bytes that a body of this many records has in addition to them, at most.
    pub(crate) fn overhead(&self, records: usize) -> usize {
        // Counts all groups instead of those in the body, unless that would make a body of few records look large.
        let prefixes = self.all_bytes.min(self.most_bytes.saturating_mul(records));
        let (around, group, record) = match self.encoding {
            Encoding::Protobuf => protobuf::OVERHEAD,
            Encoding::Json => json::OVERHEAD,
        };
        around + prefixes + group * records.min(self.prefixes.len()) + record * records
    }

    /// Appends the body of these records, grouped by tool.
    pub(crate) fn frame(&self, part: &[Entry<'_>], out: &mut Vec<u8>) {
        let mut records: Vec<(usize, &[u8])> =
            part.iter().map(|entry| (self.of_events[entry.event], entry.bytes)).collect();
        // A stable sort keeps the order within a tool.
        records.sort_by_key(|(group, _)| *group);
        let groups = records.chunk_by(|(a, _), (b, _)| a == b).map(|records| {
            let prefix = self.prefixes[records[0].0].as_slice();
            (prefix, records.iter().map(|(_, record)| *record))
        });
        match self.encoding {
            Encoding::Protobuf => protobuf::frame(groups, out),
            Encoding::Json => json::frame(groups, out),
        }
    }
}
