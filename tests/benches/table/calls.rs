//! What a guarded call costs.

use std::{convert::Infallible, hint::black_box, sync::mpsc, thread, time::Duration};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, Plugin, Trust};
use jackfield_tests::Build;

use crate::rows::{Rows, goal, median, show, time};

/// Events in a batch.
const EVENTS: usize = 100;
/// Rounds, each of which measures everything once, so that a slow spell of the machine hits all alike.
const ROUNDS: usize = 200;
/// Calls of one kind in a round.
const CALLS: usize = 100;

/// An event as a tool has it in memory.
struct Owned {
    fields: [String; 12],
    metadata: [String; 2],
}

fn owned() -> Vec<Owned> {
    (0..EVENTS)
        .map(|n| Owned {
            fields: std::array::from_fn(|field| format!("value {field} of event {n}")),
            metadata: ["key".to_owned(), format!("value {n}")],
        })
        .collect()
}

/// The views of all events, as a batch.
fn build(events: &std::sync::Arc<Vec<Owned>>) -> Batch {
    Batch::build_with_capacity(std::sync::Arc::clone(events), EVENTS, |events, writer| {
        for Owned { fields, metadata } in events.iter() {
            writer.push(&EventFields {
                json: &fields[0],
                id: &fields[1],
                timestamp: &fields[2],
                kind: &fields[3],
                name: &fields[4],
                machine_id: &fields[5],
                tool_name: &fields[6],
                tool_version: &fields[7],
                os: &fields[8],
                arch: &fields[9],
                os_version: &fields[10],
                runtime_version: &fields[11],
                metadata: Some(&[(&metadata[0], &metadata[1])]),
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

/// What a direct call of a Rust function would be passed: the same fields, borrowed, without the frozen types.
struct Borrowed<'a> {
    fields: [&'a str; 12],
    metadata: &'a [(&'a str, &'a str)],
}

/// The arguments of direct calls with all events.
fn borrow<'a>(events: &'a [Owned], pairs: &'a [[(&'a str, &'a str); 1]]) -> Vec<Borrowed<'a>> {
    let mut borrowed = Vec::with_capacity(events.len());
    for (event, metadata) in events.iter().zip(pairs) {
        borrowed.push(Borrowed { fields: event.fields.each_ref().map(String::as_str), metadata });
    }
    borrowed
}

/// The bytes of all texts, so that nothing of the arguments is left out.
fn bytes(borrowed: &[Borrowed<'_>]) -> usize {
    borrowed.iter().map(|it| it.fields.iter().map(|text| text.len()).sum::<usize>() + it.metadata.len()).sum()
}

/// A batch of [`EVENTS`] events.
pub(crate) fn batch() -> Batch {
    build(&std::sync::Arc::new(owned()))
}

/// A thread that answers what it is asked, and how to ask it: the least that a call with a deadline can be made of.
fn bare_hop() -> impl Fn() {
    let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
    thread::Builder::new()
        .spawn(move || {
            for answer in asked {
                let _ = answer.send(());
            }
        })
        .expect("a thread");
    move || {
        let (answer, answered) = mpsc::channel();
        ask.send(answer).expect("the thread lives");
        answered.recv_timeout(Duration::from_secs(5)).expect("it answers");
    }
}

pub(crate) fn measure(rows: &mut Rows) {
    let path = Build::package("fixture-minimal").release().library();
    let plugin = Plugin::load(&path, Trust::Owner).unwrap_or_else(|error| panic!("{error}"));
    let backend = Backend::open(&plugin, &BackendOptions::new("minimal")).expect("opens");
    let events = std::sync::Arc::new(owned());
    let batch = build(&events);
    let hop = bare_hop();
    let pairs: Vec<_> = events.iter().map(|it| [(&*it.metadata[0], &*it.metadata[1])]).collect();
    assert!(bytes(&borrow(&events, &pairs)) > EVENTS);

    let (mut hops, mut sends, mut views, mut direct) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hops.extend((0..CALLS).map(|_| time(&hop).0));
        sends.extend((0..CALLS).map(|_| {
            let (took, report) = time(|| backend.send(&batch));
            assert!(report.failure().is_none());
            took
        }));
        views.extend((0..CALLS).map(|_| time(|| black_box(build(&events))).0));
        direct.extend((0..CALLS).map(|_| time(|| black_box(borrow(&events, black_box(&pairs)))).0));
    }
    let hop = median(hops);
    rows.ratio(
        "guarded send of 100 events to a plugin that does nothing",
        median(sends),
        ("thread hop with timeout, std mpsc", hop),
        Some(1.5),
    );
    let (view, direct) = (median(views) / EVENTS as u32, median(direct) / EVENTS as u32);
    let ratio = view.as_secs_f64() / direct.as_secs_f64();
    rows.compared(
        "event view, an event, over a batch that is there",
        show(view),
        ("the fields as arguments of a direct call", &show(direct)),
        ratio,
        goal("at most 20 ns, or 1.10", view <= Duration::from_nanos(20) || ratio <= 1.1),
    );
}
