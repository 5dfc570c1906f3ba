//! A backend's typed configuration, from the JSON object that ops wrote.

pub(crate) mod value;

use serde_core::de::DeserializeOwned;

use self::value::read;
use crate::backend::Error;

/// Reads the configuration; the error names the path of the key, and no value.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    let json: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| Error::config("", without_position(&error.to_string())))?;
    match read(&json) {
        (Ok(config), None) => Ok(config),
        (Ok(_), Some(key)) => Err(Error::config(key, "unknown key")),
        // A misspelt key is both unknown and missing. The unknown key tells more.
        (Err(error), Some(key)) if error.path.is_empty() => {
            Err(Error::config(key, format!("unknown key; {error}")))
        }
        (Err(error), _) => Err(Error::config(error.path.clone(), error.to_string())),
    }
}

/// Removes the position: it is one in generated JSON, which no user has seen.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::NoConfig;

    #[derive(Debug, serde::Deserialize)]
    struct Tls {
        #[expect(dead_code, reason = "only its key and type matter here")]
        ca_file: String,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Config {
        #[expect(dead_code, reason = "only its key and type matter here")]
        url: String,
        #[expect(dead_code, reason = "only its key and type matter here")]
        tls: Option<Tls>,
    }

    fn refusal(json: &str) -> String {
        parse::<Config>(json).expect_err("the configuration is wrong").to_string()
    }

    #[test]
    fn a_right_configuration_is_read() {
        assert!(parse::<Config>(r#"{"url":"x","tls":{"ca_file":"y"}}"#).is_ok());
    }

    #[test]
    fn a_backend_without_options_takes_an_empty_object_alone() {
        assert!(parse::<NoConfig>("{}").is_ok());
        let refusal = |json| parse::<NoConfig>(json).expect_err("it has options").to_string();
        assert_eq!(refusal(r#"{"url":{"a":1}}"#), "url: unknown key");
        assert_eq!(refusal("[]"), "invalid type: sequence, expected a table without keys");
    }

    #[test]
    fn an_unknown_key_is_always_refused_by_its_path() {
        assert_eq!(refusal(r#"{"url":"x","tls":{"ca_file":"y","ca_flie":"z"}}"#), "tls.ca_flie: unknown key");
    }

    #[test]
    fn a_wrong_type_is_refused_by_its_path() {
        assert_eq!(
            refusal(r#"{"url":"x","tls":{"ca_file":5}}"#),
            "tls.ca_file: invalid type: integer, expected a string"
        );
    }

    #[test]
    fn a_misspelt_required_key_is_named_as_written() {
        assert_eq!(refusal(r#"{"ulr":"x"}"#), "ulr: unknown key; missing field `url`");
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(refusal("{}"), "missing field `url`");
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Slow,
        Level(u8),
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {}

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Every {
        text: Option<String>,
        list: Vec<String>,
        table: std::collections::BTreeMap<String, String>,
        numbered: std::collections::BTreeMap<u8, i32>,
        flag: bool,
        number: Option<std::num::NonZeroU16>,
        fraction: f64,
        mode: Option<Mode>,
        strict: Option<Strict>,
        pair: Option<(u8, char)>,
        any: serde_json::Value,
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let json = r#"{"text":"a","list":["b"],"table":{"c":"d"},"numbered":{"7":-7},"flag":true,"number":9,
            "fraction":1.5,"mode":{"level":3},"strict":{},"pair":[1,"x"],"any":{"e":[null,-1,2.5]}}"#;
        let every: Every = parse(json).expect("valid");
        assert_eq!((every.text.as_deref(), every.list[0].as_str()), (Some("a"), "b"));
        assert_eq!((every.table["c"].as_str(), every.numbered[&7], every.flag), ("d", -7, true));
        assert_eq!((every.number.map(u16::from), every.fraction), (Some(9), 1.5));
        assert!(matches!(every.mode, Some(Mode::Level(3))) && every.strict.is_some());
        assert_eq!((every.pair, every.any), (Some((1, 'x')), serde_json::json!({"e": [null, -1, 2.5]})));
        let every: Every = parse(r#"{"text":null,"fraction":2,"mode":"fast"}"#).expect("valid");
        assert!(every.text.is_none() && every.fraction == 2.0 && matches!(every.mode, Some(Mode::Fast)));
        assert!(matches!(parse::<Mode>(r#""slow""#), Ok(Mode::Slow)));
    }

    #[test]
    fn a_wrong_value_is_refused_without_being_quoted() {
        for (json, said) in [
            (r#"{"list":"s3cret"}"#, "list: invalid type: string, expected a sequence"),
            (r#"{"list":["a",5309]}"#, "list[1]: invalid type: integer, expected a string"),
            (r#"{"table":"s3cret"}"#, "table: invalid type: string, expected a map"),
            (r#"{"text":5309}"#, "text: invalid type: integer, expected a string"),
            (r#"{"text":-5309}"#, "text: invalid type: integer, expected a string"),
            (r#"{"text":5309.5}"#, "text: invalid type: floating point number, expected a string"),
            (r#"{"flag":"s3cret"}"#, "flag: invalid type: string, expected a boolean"),
            (r#"{"number":5309530}"#, "number: invalid value: integer, expected a nonzero u16"),
            (r#"{"number":"s3cret"}"#, "number: invalid type: string, expected a nonzero u16"),
            (r#"{"mode":"s3cret"}"#, "mode: unknown value, expected one of `fast`, `slow`, `level`"),
            (r#"{"strict":"s3cret"}"#, "strict: invalid type: string, expected struct Strict"),
            (r#"{"pair":[1,"s3cret"]}"#, "pair[1]: invalid value: string, expected a character"),
            (r#"{"pair":[1,"x",5309]}"#, "pair: invalid length 3, expected 2 elements in sequence"),
            (r#"{"numbered":{"x y s3cret":1}}"#, "numbered.x…: invalid type: string, expected u8"),
            (r#"{"strict":{"a: s3cret":1}}"#, "strict.a…: unknown key `a…`"),
            (
                r#"{"table":{"Authorization: s3cret":1}}"#,
                "table.Authorization…: invalid type: integer, expected a string",
            ),
            (r#"{"amqp://u:s3cret@h":1}"#, "amqp…: unknown key"),
            (r#""s3cret""#, "invalid type: string, expected struct Every"),
            ("[5309]", "[0]: invalid type: integer, expected a string"),
            (r#"{"text":"s3cret"#, "EOF while parsing a string"),
        ] {
            let refusal = parse::<Every>(json).expect_err(json).to_string();
            assert_eq!(refusal, said, "{json}");
            assert!(!refusal.contains("s3cret") && !refusal.contains("5309"), "{refusal}");
        }
    }
}
