use jackfield::Config;

use super::*;
use crate::chosen_backends::chosen;

#[test]
fn only_backends_that_are_configured_can_be_chosen() {
    let text = "[[backend]]\nplugin = 'a'\n[[backend]]\nplugin = 'b'\n";
    let config = Config::parse(text, Path::new("c.toml")).expect("a configuration");
    let names = |only: &[&str]| {
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        chosen(&config, &only)
            .map(|chosen| chosen.iter().map(|backend| backend.name.clone()).collect::<Vec<_>>())
            .map_err(|refusal| (Exit::from(&refusal), refusal.to_string()))
    };
    assert_eq!(names(&[]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(names(&["b"]), Ok(vec!["b".to_owned()]));
    let (exit, refusal) = names(&["b", "c"]).expect_err("there is no c");
    assert_eq!(exit, Exit::Usage);
    assert_eq!(refusal, "--only: no backend \"c\" in the configuration, which has `a`, `b`");
    let empty = Config::parse("", Path::new("c.toml")).expect("a configuration");
    let refusal = chosen(&empty, &[]).expect_err("nothing to send to");
    assert_eq!(Exit::from(&refusal), Exit::Config);
}
