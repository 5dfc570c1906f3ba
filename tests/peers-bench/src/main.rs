//! What peers do, for `scripts/bench` to measure: `peers <peer> track` prints what an event costs its caller, in
//! nanoseconds; `peers <peer> exit URL` records three events for the server at that URL and ends as the peer ends by
//! itself.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::{
    env,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use opentelemetry::logs::{LogRecord as _, Logger, LoggerProvider as _};
use opentelemetry_otlp::{LogExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, SdkLoggerProvider},
};
use posthog_rs::{Client, ClientOptionsBuilder, Event};

/// Events in a block, which the batch processor's queue has room for, and blocks. The median block counts.
const EVENTS: u32 = 1_000;
const BLOCKS: usize = 25;

/// The same that the tool tracks that they are compared with.
const ATTRIBUTES: [(&str, &str); 5] = [
    ("format", "pdf"),
    ("pages", "12"),
    ("template", "quarterly-report"),
    ("cache", "warm"),
    ("channel", "stable"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["posthog", "track"] => {
            // Nothing is sent while it is measured, and nothing dropped.
            let client = posthog("http://127.0.0.1:1", |options| options.flush_at(usize::MAX).max_queue_size(usize::MAX))?;
            println!("{}", cost(|| capture(&client), || {}));
            // What it holds is of no use to anybody, and its end would try to send it.
            std::process::exit(0);
        }
        ["posthog", "exit", url] => {
            let client = posthog(url, |options| options)?;
            (0..3).for_each(|_| capture(&client));
        }
        ["otel", "track"] => {
            let processor = BatchLogProcessor::builder(Nowhere)
                .with_batch_config(BatchConfigBuilder::default().with_max_queue_size(2 * EVENTS as usize).build())
                .build();
            let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
            let logger = provider.logger("tool");
            let drained = || drop(provider.force_flush());
            println!("{}", cost(|| emit(&logger), drained));
        }
        ["otel", "exit", url] => {
            let exporter = LogExporter::builder().with_http().with_endpoint(url).build()?;
            let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter).build();
            let logger = provider.logger("tool");
            (0..3).for_each(|_| emit(&logger));
            // Its answer is that it timed out.
            let _ = provider.shutdown();
        }
        _ => return Err("peers <posthog|otel> <track|exit URL>".into()),
    }
    Ok(())
}

/// Nanoseconds of one event in the median block. `between` has the time between two blocks.
fn cost(event: impl Fn(), between: impl Fn()) -> u128 {
    let mut blocks: Vec<Duration> = (0..BLOCKS)
        .map(|_| {
            let started = Instant::now();
            (0..EVENTS).for_each(|_| event());
            let took = started.elapsed();
            between();
            took
        })
        .collect();
    blocks.sort_unstable();
    blocks[BLOCKS / 2].as_nanos() / u128::from(EVENTS)
}

fn posthog(
    host: &str,
    more: impl FnOnce(&mut ClientOptionsBuilder) -> &mut ClientOptionsBuilder,
) -> Result<Client, Box<dyn Error>> {
    let mut options = ClientOptionsBuilder::default();
    options.api_key("key".to_owned()).host(host);
    Ok(posthog_rs::client(more(&mut options).build()?))
}

fn capture(client: &Client) {
    let mut event = Event::new("feature.used", "0123456789abcdef0123456789abcdef");
    for (key, value) in ATTRIBUTES {
        // Text can always be encoded.
        let _ = event.insert_prop(key, value);
    }
    client.capture(black_box(event));
}

fn emit(logger: &impl Logger) {
    let mut record = logger.create_log_record();
    record.set_event_name("feature.used");
    for (key, value) in ATTRIBUTES {
        record.add_attribute(key, value);
    }
    logger.emit(black_box(record));
}

/// An exporter that does nothing.
#[derive(Debug)]
struct Nowhere;

impl opentelemetry_sdk::logs::LogExporter for Nowhere {
    async fn export(&self, _batch: LogBatch<'_>) -> OTelSdkResult {
        Ok(())
    }
}
