//! What a confirmed event costs on its way to a quorum queue, beside plain lapin in the same program.

use std::{collections::VecDeque, convert::Infallible, fs, time::Duration};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, Plugin, Trust};
use jackfield_plugin_api::Outcome;
use jackfield_tests::{Build, peers::rabbitmq::broker};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions},
};
use serde_json::json;

use crate::rows::{Rows, median, time};

const EVENTS: usize = 20_000;
/// Events in a call.
const BATCH: usize = 5000;
/// Events that the loop of one publish, one confirm gets to do.
const FEW: usize = 1000;
const ROUNDS: usize = 5;
const WINDOW: usize = 512;
const QUEUE: &str = "bench";

fn samples(range: std::ops::Range<usize>) -> Vec<(String, String)> {
    range
        .map(|n| {
            let id = format!("019a9d4e-0000-7000-8000-{n:012x}");
            let mut json =
                format!(r#"{{"id":"{id}","type":"command.invocation","name":"build","metadata":{{"k":""#);
            while json.len() < 296 {
                json.push('x');
            }
            json.push_str("\"}}");
            (id, json)
        })
        .collect()
}

fn batch(samples: Vec<(String, String)>) -> Batch {
    Batch::build(samples, |samples, writer| {
        for (id, json) in samples {
            writer.push(&EventFields {
                json,
                id,
                kind: "command.invocation",
                time_unix_nanos: 1_767_323_045_000_000_000,
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

fn properties(id: &str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(id.into())
        .with_type("command.invocation".into())
        .with_timestamp(1_767_323_045)
        .with_app_id("bench".into())
}

/// Publishes with at most `window` confirms outstanding.
async fn plain(channel: &Channel, samples: &[(String, String)], window: usize) {
    let mut confirms = VecDeque::with_capacity(window);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    for (id, json) in samples {
        if confirms.len() == window {
            let oldest: lapin::PublisherConfirm = confirms.pop_front().expect("full");
            assert!(oldest.await.expect("confirms").is_ack());
        }
        let confirm = channel
            .basic_publish("".into(), QUEUE.into(), options, json.as_bytes(), properties(id))
            .await
            .expect("publishes");
        confirms.push_back(confirm);
    }
    for confirm in confirms {
        assert!(confirm.await.expect("confirms").is_ack());
    }
}

pub(crate) fn measure(rows: &mut Rows) {
    let path = Build::plugin("rabbitmq").release().library();
    let broker = broker();
    broker.client().queue(QUEUE, &json!({"x-queue-type": "quorum"}));
    let config = json!({"url": broker.url(), "queue": QUEUE, "window": WINDOW}).to_string();
    let options =
        BackendOptions::new("rabbitmq").config(config).timeout(Duration::from_secs(60)).tool("bench", "1");
    let resident = resident();
    let plugin = Plugin::load(&path, Trust::Owner).unwrap_or_else(|error| panic!("{error}"));
    let backend = Backend::open(&plugin, &options).expect("opens");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let channel = runtime.block_on(async {
        let connection =
            Connection::connect(&broker.url(), ConnectionProperties::default()).await.expect("connects");
        let channel = connection.create_channel().await.expect("opens");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("accepts");
        channel
    });
    let purge = || {
        runtime.block_on(channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default())).expect("purges");
    };
    let all = samples(0..EVENTS);
    let batches: Vec<Batch> =
        (0..EVENTS).step_by(BATCH).map(|first| batch(samples(first..first + BATCH))).collect();

    let (mut ours, mut theirs, mut guide) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = None;
    // The first round warms both up.
    for round in 0..=ROUNDS {
        let (plain_took, ()) = time(|| runtime.block_on(plain(&channel, &all, WINDOW)));
        purge();
        let (took, ()) = time(|| {
            for batch in &batches {
                let report = backend.send(batch);
                assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{report:?}");
            }
        });
        purge();
        memory = memory.or_else(|| Some(self::resident() - resident));
        let (guide_took, ()) = time(|| runtime.block_on(plain(&channel, &all[..FEW], 1)));
        purge();
        if round > 0 {
            theirs.push(plain_took / EVENTS as u32);
            ours.push(took / EVENTS as u32);
            guide.push(guide_took / FEW as u32);
        }
    }
    backend.close(Duration::from_secs(10)).expect("closes");
    let (ours, theirs, guide) = (median(ours), median(theirs), median(guide));
    rows.ratio(
        "rabbitmq: an event into a quorum queue, confirmed",
        ours,
        ("plain lapin, the same window", theirs),
        Some(1.0 / 0.9),
    );
    rows.ratio("rabbitmq: the same", ours, ("one publish, one confirm", guide), Some(1.0 / 15.0));
    rows.figure(
        "rabbitmq: memory after the first 20,000 events, plain lapin's included",
        format!("{:.1} MiB", memory.unwrap_or_default()),
        String::new(),
    );
}

/// Memory of this process, in MiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}
