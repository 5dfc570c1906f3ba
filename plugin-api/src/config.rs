//! A backend's typed configuration, from the JSON object that ops wrote.

use serde::de::DeserializeOwned;

use crate::Error;

/// Reads the configuration; the error names the path of the key.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    let mut unknown = None;
    let mut track = serde_path_to_error::Track::new();
    let mut json = serde_json::Deserializer::from_str(json);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let parsed = serde_ignored::deserialize(tracked, |path| {
        // `?` stands for the `Some` that the key lies in, which ops do not write.
        unknown.get_or_insert_with(|| path.to_string().replace(".?", ""));
    });
    let error = match (parsed, &unknown) {
        (Ok(config), None) => return Ok(config),
        (Ok(_), Some(key)) => return Err(Error::config(key.clone(), "unknown key")),
        (Err(error), _) => without_position(&error.to_string()),
    };
    let path = track.path().to_string();
    match (path.as_str(), unknown) {
        // A key that is misspelt is unknown and missing at once; the unknown one is what to look at.
        (".", Some(key)) => Err(Error::config(key, format!("unknown key; {error}"))),
        (".", None) => Err(Error::config("", error)),
        _ => Err(Error::config(path, error)),
    }
}

/// The position is one in JSON that nobody wrote; the path says it better.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_unknown_key_is_refused_by_its_path_though_the_type_did_not_ask_for_it() {
        assert_eq!(refusal(r#"{"url":"x","tls":{"ca_file":"y","ca_flie":"z"}}"#), "tls.ca_flie: unknown key");
    }

    #[test]
    fn a_wrong_type_is_refused_by_its_path() {
        assert_eq!(
            refusal(r#"{"url":"x","tls":{"ca_file":5}}"#),
            "tls.ca_file: invalid type: integer `5`, expected a string"
        );
    }

    #[test]
    fn a_required_key_that_is_misspelt_is_named_as_it_was_written() {
        assert_eq!(refusal(r#"{"ulr":"x"}"#), "ulr: unknown key; missing field `url`");
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(refusal("{}"), "missing field `url`");
    }
}
