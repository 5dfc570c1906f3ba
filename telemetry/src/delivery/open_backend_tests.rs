use jackfield_loader::SandboxError;
use jackfield_loader::plugin_api::{self, Batch, Call, Host, NoConfig, Outcome, Outcomes};

use super::*;

/// Does not open, with the status of that number.
struct Refuses<const STATUS: i32>;

impl<const STATUS: i32> plugin_api::Backend for Refuses<STATUS> {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, plugin_api::Error> {
        Err(match STATUS {
            abi::STATUS_INVALID_CONFIG => plugin_api::Error::config("key", "why"),
            abi::STATUS_UNAVAILABLE => plugin_api::Error::unavailable("why"),
            _ => plugin_api::Error::failed("why"),
        })
    }

    fn send(&self, _: &Batch<'_>, _: &Call<'_>) -> Outcomes {
        Outcome::Delivered.into()
    }
}

fn refusal<const STATUS: i32>() -> OpenError {
    let options = BackendOptions::new("main").config("{}");
    let error = Backend::open_static::<Refuses<STATUS>>(&options).expect_err("it refuses");
    OpenError::of(&error, "why".to_owned())
}

#[test]
fn the_key_of_a_sandbox_error_is_found_in_its_message() {
    let error = std::io::Error::from_raw_os_error(22);
    let limit = SandboxError::Limit { key: "files", value: 1, error }.to_string();
    let (key, what) = key_of_sandbox(&limit).expect("a key");
    assert!(key == "limits.files" && what.starts_with("the system refuses the limit 1"), "{limit}");
    let whole = SandboxError::Unsupported.to_string();
    assert_eq!(key_of_sandbox(&whole).expect("a key").0, "sandbox");
}

#[test]
fn a_failure_that_may_pass_is_unavailable() {
    let reason = jackfield_loader::ForeignText::from("why");
    assert_eq!(
        refusal::<{ abi::STATUS_INVALID_CONFIG }>(),
        OpenError::Config { reason: reason.clone(), at: None }
    );
    assert_eq!(refusal::<{ abi::STATUS_FAILED }>(), OpenError::Plugin { reason: reason.clone(), ran: true });
    assert_eq!(refusal::<{ abi::STATUS_UNAVAILABLE }>(), OpenError::Unavailable { reason });
}
