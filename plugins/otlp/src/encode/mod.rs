//! Encodes events as OTLP, directly from the host's memory. [`Encoding`] chooses the format of a record; [`record`] has
//! its content.
//!
//! A record is encoded once, into one buffer, and then copied into the body of a request. The division into bodies
//! needs the sizes of the records first.

mod json;
mod protobuf;
mod record;
mod resource;

use std::{collections::HashMap, ops::Range};

use jackfield_plugin_api::Batch;

pub(crate) use self::resource::FROM_EVENTS;
use self::resource::Tool;

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
    encoding: Encoding,
    /// Version of the scope.
    version: &'static str,
    /// Attributes of every resource, in addition to those of its tool.
    resource: Vec<(String, String)>,
}

/// An encoded batch.
pub(crate) struct Encoded {
    encoding: Encoding,
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// The part before the records of each tool: its resource and the scope.
    groups: Vec<Vec<u8>>,
    groups_bytes: usize,
    largest_group: usize,
}

struct Record {
    bytes: Range<usize>,
    group: usize,
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
    pub(crate) fn encode(&self, batch: &Batch<'_>, observed: u64) -> Encoded {
        let mut encoded = Encoded {
            encoding: self.encoding,
            bytes: Vec::with_capacity(batch.len() * 512),
            records: Vec::with_capacity(batch.len()),
            groups: Vec::new(),
            groups_bytes: 0,
            largest_group: 0,
        };
        let mut numbers: HashMap<Tool<'_>, usize> = HashMap::new();
        let mut last: Option<(Tool<'_>, usize)> = None;
        for event in batch {
            let tool = Tool::of(&event);
            let group = match &last {
                Some((same, group)) if *same == tool => *group,
                _ => *numbers.entry(tool).or_insert_with(|| {
                    let mut group = Vec::with_capacity(512);
                    match self.encoding {
                        Encoding::Protobuf => {
                            protobuf::group(&tool, &self.resource, self.version, &mut group);
                        }
                        Encoding::Json => json::group(&tool, &self.resource, self.version, &mut group),
                    }
                    encoded.groups_bytes += group.len();
                    encoded.largest_group = encoded.largest_group.max(group.len());
                    encoded.groups.push(group);
                    encoded.groups.len() - 1
                }),
            };
            last = Some((tool, group));
            let start = encoded.bytes.len();
            match self.encoding {
                Encoding::Protobuf => protobuf::record(&event, observed, &mut encoded.bytes),
                Encoding::Json => json::record(&event, observed, &mut encoded.bytes),
            }
            encoded.records.push(Record { bytes: start..encoded.bytes.len(), group });
        }
        encoded
    }
}

impl Encoded {
    /// The records, in the order of the batch.
    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.records.iter().map(|record| &self.bytes[record.bytes.clone()])
    }

    /// Bytes that a body of this many records has in addition to them, at most.
    pub(crate) fn overhead(&self, records: usize) -> usize {
        // Counts all resources instead of those in the body, unless that would make a body of few records look large.
        let groups = self.groups_bytes.min(self.largest_group.saturating_mul(records));
        let (around, group, record) = match self.encoding {
            Encoding::Protobuf => protobuf::OVERHEAD,
            Encoding::Json => json::OVERHEAD,
        };
        around + groups + group * records.min(self.groups.len()) + record * records
    }

    /// Appends the body of the records with these numbers in the batch, grouped by tool.
    pub(crate) fn frame(&self, records: impl Iterator<Item = usize>, out: &mut Vec<u8>) {
        let mut records: Vec<&Record> = records.map(|number| &self.records[number]).collect();
        // A stable sort keeps the order within a tool.
        records.sort_by_key(|record| record.group);
        let groups = records.chunk_by(|a, b| a.group == b.group).map(|records| {
            let prefix = self.groups[records[0].group].as_slice();
            (prefix, records.iter().map(|record| &self.bytes[record.bytes.clone()]))
        });
        match self.encoding {
            Encoding::Protobuf => protobuf::frame(groups, out),
            Encoding::Json => json::frame(groups, out),
        }
    }
}
