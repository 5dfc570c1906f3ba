//! Options as values of AMQP, and their refusal.

use std::collections::BTreeMap;

use jackfield_plugin_api::Error;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use serde_json::Value;

pub(crate) fn short(key: &'static str, text: &str) -> Result<ShortString, Error> {
    ShortString::try_new(text)
        .map_err(|_| Error::config(key, format!("has {} bytes; AMQP allows 255", text.len())))
}

pub(crate) fn refuse<T>(key: &'static str, why: &'static str) -> Result<T, Error> {
    Err(Error::config(key, why))
}

pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(crate) fn table<'j>(
    key: &'static str,
    json: impl IntoIterator<Item = (&'j String, &'j Value)>,
) -> Result<BTreeMap<ShortString, AMQPValue>, Error> {
    json.into_iter().map(|(name, value)| Ok((short(key, name)?, amqp(key, value)?))).collect()
}

fn amqp(key: &'static str, value: &Value) -> Result<AMQPValue, Error> {
    Ok(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::String(value) => text(value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => AMQPValue::LongLongInt(number),
            (None, Some(number)) => AMQPValue::Double(number),
            (None, None) => {
                let why = format!("has the number {number}, which AMQP can't represent");
                return Err(Error::config(key, why));
            }
        },
        Value::Array(values) => {
            let values = values.iter().map(|value| amqp(key, value)).collect::<Result<Vec<_>, _>>()?;
            AMQPValue::FieldArray(FieldArray::from(values))
        }
        Value::Object(map) => AMQPValue::FieldTable(FieldTable::from(table(key, map)?)),
    })
}
