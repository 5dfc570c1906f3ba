//! A batch as hosts of several versions write it.

use std::ptr;

use jackfield_plugin_api::abi;

use super::{
    host,
    terms::{Empty, HostKind, Terms},
};
use crate::boundary::batch::{Batch, strings_mut};

/// Events of a batch, changed as the terms say.
pub(super) struct AlteredViews<'a> {
    events: Vec<abi::Event>,
    terms: &'a Terms,
    _batch: &'a Batch,
}

/// A bit of `Event::present` that no version has given out.
const UNKNOWN_BIT: u32 = 1 << 30;

impl<'a> AlteredViews<'a> {
    pub(super) fn of(batch: &'a Batch, terms: &'a Terms) -> Self {
        let mut events = batch.events().to_vec();
        for event in &mut events {
            if terms.host == HostKind::Newer {
                event.present |= UNKNOWN_BIT;
            }
            if terms.empty == Empty::AsIs {
                continue;
            }
            for text in strings_mut(event) {
                empty(terms.empty, &mut text.ptr, text.len);
            }
            empty(terms.empty, &mut event.args.ptr, event.args.len);
            empty(terms.empty, &mut event.metadata.ptr, event.metadata.len);
        }
        Self { events, terms, _batch: batch }
    }

    /// The C form, valid as long as `self`.
    pub(super) fn to_abi(&self) -> abi::Batch {
        let mut events = self.events.as_ptr();
        empty(self.terms.empty, &mut events, self.events.len());
        let mut tables = host::further_tables(self.terms.host);
        empty(self.terms.empty, &mut tables.ptr, tables.len);
        abi::Batch {
            size: size_of::<abi::Batch>() as u32,
            event_size: size_of::<abi::Event>() as u32,
            events,
            len: self.events.len(),
            tables,
        }
    }
}

fn empty<T>(how: Empty, pointer: &mut *const T, len: usize) {
    if len == 0 {
        match how {
            Empty::AsIs => {}
            Empty::Null => *pointer = ptr::null(),
            Empty::Dangling => *pointer = ptr::dangling(),
        }
    }
}
