//! Tests of the spool.

mod damage;
mod faults;
mod machine;
mod model;
mod room;

use crate::spool::chunk::Chunk;
use crate::spool::reader::{Deliverer, Settle};

/// A short event.
fn event(name: &str) -> String {
    format!("{{\"id\":\"{name}\"}}")
}

/// Delivers all that is there and gives the lines.
fn drain(deliverer: &mut Deliverer, backend: &str) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(chunk) = deliverer.next(backend, 7, 1_000).expect("a healthy spool") {
        all.extend(chunk.lines().map(str::to_owned));
        deliverer.commit(&chunk, &done(&chunk)).expect("a healthy spool");
    }
    all
}

fn done(chunk: &Chunk) -> Vec<Settle> {
    vec![Settle::Done; chunk.len()]
}
