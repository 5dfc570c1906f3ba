//! Plugins and hosts of different compilers.

use jackfield_loader::plugin_api::Outcome;
use jackfield_tests::skewed;
use serde_json::json;

use crate::common::{MS, batch, load, open};

#[test]
fn a_plugin_of_the_nightly_compiler_works_under_this_host() {
    let path = skewed("minimal", "nightly");
    let plugin = load(&path);
    assert!(plugin.metadata().compiler.as_raw().contains("nightly"), "{}", plugin.metadata().compiler);
    let backend = open(&path, &json!({}));
    assert_eq!(backend.send(&batch(100)).uniform(), Some(&Outcome::Delivered));
    backend.close(1000 * MS).expect("closes");
}
