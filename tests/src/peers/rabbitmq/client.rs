//! The other side: plain lapin, to make queues and to see what has arrived in them.

use std::{pin::Pin, time::Duration};

use futures_core::Stream as _;
use jackfield_test_support::LONG;
use lapin::{
    Channel, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, LongString},
};
use tokio::runtime::Runtime;

/// A message as it came out of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The key that it was published with.
    pub routing_key: String,
    /// The message's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The application's name.
    pub app_id: String,
    /// The content's type.
    pub content_type: String,
    /// 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// In seconds.
    pub timestamp: Option<u64>,
    /// The body.
    pub json: String,
}

impl From<&Delivery> for Message {
    fn from(delivery: &Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |text: &Option<lapin::types::ShortString>| {
            text.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        Self {
            routing_key: delivery.routing_key.to_string(),
            id: text(properties.message_id()),
            kind: text(properties.kind()),
            app_id: text(properties.app_id()),
            content_type: text(properties.content_type()),
            delivery_mode: *properties.delivery_mode(),
            timestamp: *properties.timestamp(),
            json: String::from_utf8(delivery.data.clone()).expect("UTF-8"),
        }
    }
}

/// A connection.
pub struct Client {
    runtime: Runtime,
    connection: Connection,
    channel: Channel,
}

/// What an argument of a queue may be.
fn argument(value: &serde_json::Value) -> AMQPValue {
    match value {
        serde_json::Value::String(text) => AMQPValue::LongString(LongString::from(text.as_str())),
        other => AMQPValue::LongLongInt(other.as_i64().expect("a text or a number")),
    }
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (connection, channel) = runtime.block_on(async {
            let connection =
                Connection::connect(url, ConnectionProperties::default()).await.expect("connects");
            let channel = connection.create_channel().await.expect("opens");
            (connection, channel)
        });
        Self { runtime, connection, channel }
    }

    /// Declares a durable queue with these arguments.
    pub fn queue(&self, name: &str, arguments: &serde_json::Value) {
        let mut table = FieldTable::default();
        for (key, value) in arguments.as_object().expect("an object") {
            table.insert(key.as_str().into(), argument(value));
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.runtime.block_on(self.channel.queue_declare(name.into(), options, table)).expect("declares");
    }

    /// Declares a topic exchange, and binds a queue to it.
    pub fn topic(&self, exchange: &str, queue: &str, key: &str) {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        self.runtime
            .block_on(self.channel.exchange_declare(
                exchange.into(),
                ExchangeKind::Topic,
                options,
                FieldTable::default(),
            ))
            .expect("declares");
        self.runtime
            .block_on(self.channel.queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ))
            .expect("binds");
    }

    /// Deletes a queue with all that is in it.
    pub fn delete(&self, queue: &str) {
        self.runtime
            .block_on(self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()))
            .expect("deletes");
    }

    /// How many messages wait in a queue.
    #[must_use]
    pub fn depth(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.runtime
            .block_on(self.channel.queue_declare(queue.into(), options, FieldTable::default()))
            .expect("is there")
            .message_count()
    }

    /// Takes all messages out of a queue. What a broker has confirmed is there.
    #[must_use]
    pub fn take(&self, queue: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.depth(queue) {
                0 => return messages,
                waiting => {
                    messages.extend(self.consume(queue, FieldTable::default(), waiting, Duration::ZERO));
                }
            }
        }
    }

    /// Reads a stream from its beginning, until there are so many messages and none has come for a moment after them.
    #[must_use]
    pub fn read_stream(&self, queue: &str, count: u32) -> Vec<Message> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        self.consume(queue, arguments, count, Duration::from_millis(300))
    }

    /// Consumes `count` messages, and those that come within `pause` of the one before.
    fn consume(&self, queue: &str, arguments: FieldTable, count: u32, pause: Duration) -> Vec<Message> {
        self.runtime.block_on(async {
            // A channel of its own, so that one that fails takes no other with it.
            let channel = self.connection.create_channel().await.expect("opens");
            channel.basic_qos(1000, BasicQosOptions::default()).await.expect("accepts");
            let mut consumer = channel
                .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments)
                .await
                .expect("consumes");
            let mut messages = Vec::new();
            loop {
                let is_expected = messages.len() < count as usize;
                let next = std::future::poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx));
                let wait = if is_expected { LONG } else { pause };
                let Ok(next) = tokio::time::timeout(wait, next).await else {
                    assert!(!is_expected, "{} messages of {count} in {queue}", messages.len());
                    break;
                };
                let delivery = next.expect("goes on").expect("delivers");
                messages.push(Message::from(&delivery));
                delivery.ack(BasicAckOptions::default()).await.expect("acknowledges");
            }
            channel.close(200, "OK".into()).await.expect("closes");
            messages
        })
    }
}
