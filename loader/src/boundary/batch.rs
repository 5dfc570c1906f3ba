//! A batch of events, which owns the memory of its views. Clones share the memory.
//!
//! A call that misses its deadline continues inside the plugin, so a batch must outlive its sender.

use std::{marker::PhantomData, sync::Arc};

use jackfield_plugin_api::{self as api, abi};

pub use jackfield_plugin_api::EventFields;

/// Immutable events with the memory of their text. Cheap to clone.
#[derive(Clone)]
pub struct Batch {
    events: Arc<Views>,
    memory: Arc<Memory>,
}

/// The memory behind the views of a batch, which is only dropped.
struct Memory {
    _owner: Arc<dyn Owner>,
    _strings: Chunks<abi::Str>,
    _pairs: Chunks<abi::Pair>,
}

/// Lists that keep their address while lists are added.
struct Chunks<T> {
    filled: Vec<Vec<T>>,
    current: Vec<T>,
    /// Capacity of the first chunk.
    first: usize,
}

impl<T> Chunks<T> {
    /// For about `events` events. If any has a list, most have one.
    fn new(events: usize) -> Self {
        Self { filled: Vec::new(), current: Vec::new(), first: events.max(64) }
    }

    /// Adds a list and returns its address.
    #[inline]
    fn push(&mut self, list: impl ExactSizeIterator<Item = T>) -> *const T {
        if list.len() == 0 {
            return std::ptr::null();
        }
        let room = self.current.capacity() - self.current.len();
        if room < list.len() {
            self.next_chunk(list.len());
        }
        let first = self.current.len();
        self.current.extend(list);
        self.current[first..].as_ptr()
    }

    #[cold]
    fn next_chunk(&mut self, room: usize) {
        let capacity = (self.current.capacity() * 2).max(room).max(self.first);
        let filled = std::mem::replace(&mut self.current, Vec::with_capacity(capacity));
        if filled.capacity() > 0 {
            self.filled.push(filled);
        }
    }
}

trait Owner: Send {}
impl<T: Send> Owner for T {}

/// Views of events into the memory of their batch.
struct Views(Vec<abi::Event>);

// SAFETY: views are only read, and the memory behind them does not change while the batch lives.
unsafe impl Send for Views {}
// SAFETY: as above.
unsafe impl Sync for Views {}
// SAFETY: only the drop reaches the owner, and `O: Send` allows a drop on any thread. As above for the lists.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Collects the events of a new batch. Their strings borrow from the batch's owner.
pub struct BatchWriter<'a> {
    events: Vec<abi::Event>,
    strings: Chunks<abi::Str>,
    pairs: Chunks<abi::Pair>,
    borrowed: PhantomData<&'a str>,
}

impl<'a> BatchWriter<'a> {
    /// Adds an event.
    ///
    /// # Panics
    /// If `json` contains a line feed, in a build with debug assertions.
    #[inline]
    pub fn push(&mut self, event: &EventFields<'_, 'a>) {
        debug_assert!(!event.json.contains('\n'), "the JSON of an event has a line feed");
        let args = event.args.unwrap_or_default();
        let metadata = event.metadata.unwrap_or_default();
        let pair =
            |(key, value): &(&str, &str)| abi::Pair { key: abi::Str::new(key), value: abi::Str::new(value) };
        let args = abi::StrList {
            ptr: self.strings.push(args.iter().map(|text| abi::Str::new(text))),
            len: args.len(),
        };
        let metadata = abi::PairList { ptr: self.pairs.push(metadata.iter().map(pair)), len: metadata.len() };
        self.events.push(event.to_abi(args, metadata));
    }

    /// Number of events so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no events yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl Batch {
    /// Builds a batch over `owner`, from which the strings of the events borrow that `fill` pushes.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn build<O: Send + 'static, E>(
        owner: O,
        fill: impl for<'a> FnOnce(&'a O, &mut BatchWriter<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        Self::build_with_capacity(owner, 0, fill)
    }

    /// As [`build`](Self::build), with capacity for `events` events.
    pub fn build_with_capacity<O: Send + 'static, E>(
        owner: O,
        events: usize,
        fill: impl for<'a> FnOnce(&'a O, &mut BatchWriter<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        // A `Box` would not do: moving it claims exclusive access, which would invalidate the views.
        let owner = Arc::new(owner);
        let mut writer = BatchWriter {
            events: Vec::with_capacity(events),
            strings: Chunks::new(events),
            pairs: Chunks::new(events),
            borrowed: PhantomData,
        };
        fill(&owner, &mut writer)?;
        let BatchWriter { events, strings, pairs, .. } = writer;
        Ok(Self {
            events: Arc::new(Views(events)),
            memory: Arc::new(Memory { _owner: owner, _strings: strings, _pairs: pairs }),
        })
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.0.len()
    }

    /// Whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.0.is_empty()
    }

    /// The plugin API's view of the events.
    #[must_use]
    pub fn view(&self) -> api::Batch<'_> {
        // SAFETY: every view was borrowed from the owner or from the lists, which `memory` keeps.
        unsafe { api::Batch::from_events(&self.events.0) }
    }

    /// A batch of the events at `indexes`, which shares the memory.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn select(&self, indexes: &[usize]) -> Self {
        Self {
            events: Arc::new(Views(indexes.iter().map(|&index| self.events.0[index]).collect())),
            memory: Arc::clone(&self.memory),
        }
    }

    /// The views of the events, valid as long as `self`.
    pub(crate) fn events(&self) -> &[abi::Event] {
        &self.events.0
    }

    /// The batch's C form, valid as long as `self`.
    pub(crate) fn to_abi(&self) -> abi::Batch {
        abi::Batch { events: self.events.0.as_ptr(), len: self.events.0.len(), ..no_events() }
    }
}

/// The strings of an event: `json`, the seven that events of one process mostly share, and the rest.
pub(crate) fn strings_mut(event: &mut abi::Event) -> [&mut abi::Str; 13] {
    [
        &mut event.json,
        &mut event.machine_id,
        &mut event.tool_name,
        &mut event.tool_version,
        &mut event.os,
        &mut event.arch,
        &mut event.os_version,
        &mut event.runtime_version,
        &mut event.id,
        &mut event.timestamp,
        &mut event.kind,
        &mut event.name,
        &mut event.error,
    ]
}

pub(crate) fn no_events() -> abi::Batch {
    abi::Batch {
        size: size_of::<abi::Batch>() as u32,
        event_size: size_of::<abi::Event>() as u32,
        events: std::ptr::null(),
        len: 0,
        tables: abi::Tables::EMPTY,
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `count` events with the ids `0`, `1`, ...
    pub(crate) fn numbered(count: usize) -> Batch {
        let ids: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        Batch::build::<_, std::convert::Infallible>(ids, |ids, writer| {
            for id in ids {
                writer.push(&EventFields { id, json: "{}", ..EventFields::default() });
            }
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn views_stay_valid_when_lists_grow_and_the_batch_moves() {
        let text: Vec<(String, String)> =
            (0..100).map(|n| (format!("key{n}"), format!("value{n}"))).collect();
        let batch = Batch::build::<_, std::convert::Infallible>(text, |text, writer| {
            for (key, value) in text {
                writer.push(&EventFields {
                    name: key,
                    args: Some(&[key, value]),
                    metadata: Some(&[(key, value)]),
                    exit_code: Some(-1),
                    ..EventFields::default()
                });
            }
            Ok(())
        })
        .unwrap();
        let moved = std::thread::Builder::new().spawn(move || batch).unwrap().join().unwrap();
        for (n, event) in moved.view().iter().enumerate() {
            assert_eq!(event.name(), format!("key{n}"));
            assert_eq!(event.args().unwrap().collect::<Vec<_>>(), [format!("key{n}"), format!("value{n}")]);
            assert_eq!(event.metadata().map(|(_, value)| value).collect::<Vec<_>>(), [format!("value{n}")]);
            assert_eq!(event.exit_code(), Some(-1));
            assert_eq!((event.duration(), event.error()), (None, None));
        }
    }

    #[test]
    fn a_selection_outlives_the_batch_it_came_from() {
        let batch = numbered(10);
        let odd = batch.select(&[9, 1, 3]);
        drop(batch);
        assert_eq!(odd.view().iter().map(|event| event.id()).collect::<Vec<_>>(), ["9", "1", "3"]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "the JSON of an event has a line feed")]
    fn a_debug_build_refuses_an_event_of_several_lines() {
        let _ = Batch::build::<_, std::convert::Infallible>((), |(), writer| {
            writer.push(&EventFields { json: "{\n}", ..EventFields::default() });
            Ok(())
        });
    }

    #[test]
    fn an_absent_list_is_not_an_empty_one() {
        let batch = Batch::build::<_, std::convert::Infallible>((), |(), writer| {
            writer.push(&EventFields { args: Some(&[]), ..EventFields::default() });
            writer.push(&EventFields::default());
            Ok(())
        })
        .unwrap();
        let args: Vec<_> = batch.view().iter().map(|event| event.args().map(|args| args.len())).collect();
        assert_eq!(args, [Some(0), None]);
    }
}
