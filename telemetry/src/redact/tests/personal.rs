use super::*;

fn names() -> PersonalNames {
    PersonalNames::new(["Ada".to_owned(), "ada-laptop".to_owned(), "root".to_owned(), "me".to_owned()])
}

#[test]
fn personal_data_go() {
    for (text, expected) in [
        ("mail to ada.lovelace+x@example.co.uk, please", "mail to [redacted], please"),
        ("<ada@example.com>", "<[redacted]>"),
        ("connect to 10.1.2.3:5432 failed", "connect to [redacted]:5432 failed"),
        ("from 192.168.0.17.", "from [redacted]."),
        ("bound to [2001:db8::ff00:42:8329]:80", "bound to [[redacted]]:80"),
        ("route via fe80::1c2:3ff:fe45:6789%eth0", "route via [redacted]%eth0"),
        ("device 00:1a:2B:3c:4d:5e is up", "device [redacted] is up"),
        ("device 00-1A-2B-3C-4D-5E", "device [redacted]"),
        ("/home/grace/src/main.rs:12:5", "/home/[redacted]/src/main.rs:12:5"),
        ("'/Users/grace hopper'", "'/Users/[redacted] hopper'"),
        ("C:\\Users\\Grace\\x", "C:\\Users\\[redacted]\\x"),
        ("\"C:\\\\Users\\\\Grace\\\\x\"", "\"C:\\\\Users\\\\[redacted]\\\\x\""),
        ("file:///home/grace", "file:///home/[redacted]"),
        ("user ada on ADA-LAPTOP", "user [redacted] on [redacted]"),
        ("ssh ada@ada-laptop", "ssh [redacted]@[redacted]"),
        ("card 4111 1111 1111 1111 declined", "card [redacted] declined"),
        ("card=378282246310005", "card=[redacted]"),
        ("to DE89 3704 0044 0532 0130 00, today", "to [redacted], today"),
        ("GB82WEST12345698765432", "[redacted]"),
        ("call +49 (0)30 1234-567 now", "call [redacted] now"),
        ("tel:+15551234567", "tel:[redacted]"),
    ] {
        let once = names().redact(text).into_owned();
        assert_eq!(once, expected, "of {text:?}");
        assert_eq!(names().redact(&once), once, "twice");
    }
}

#[test]
fn what_is_not_personal_stays() {
    for text in [
        "",
        "git@github.com:owner/repo.git",
        "@babel/core@7.23.3 and tokio@1.40.0",
        "127.0.0.1:8080, 0.0.0.0:80, [::1]:4318, ::",
        "version 1.2.3, 1.2.3.4.5, 300.1.2.3, 1.2.3.4-beta",
        "12:34:56.789 and 2024-01-31T12:34:56Z",
        "std::fmt::Debug, abc::def, e2e::docs",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "550e8400-e29b-41d4-a716-446655440000",
        "/home/$USER/x, /home/<user>/x, /Users/Shared, /home/",
        "adapter, adage, armada, _ada, root",
        "4111111111111112 and 1234567890123456",
        "order 4111-2024-000017",
        "DE00 3704 0044 0532 0130 00",
        "1.4.0+20240131, a + 12345678, +1, C++17",
        "/home/[redacted]/x and [redacted]",
    ] {
        assert_eq!(names().redact(text), text);
        assert!(matches!(names().redact(text), Cow::Borrowed(_)));
    }
}

#[test]
fn names_of_nobody_are_not_looked_for() {
    assert_eq!(names().names, ["ada", "ada-laptop"]);
}

proptest::proptest! {
    #[test]
    fn redacting_twice_is_redacting_once(text in "([a-z0-9@:./+ -]{0,12}(@|/home/|::|\\+49 ?|10\\.|DE89 3704|4111 1111)){0,6}.{0,12}") {
        let once = names().redact(&text).into_owned();
        let twice = names().redact(&once).into_owned();
        proptest::prop_assert_eq!(twice, once);
    }
}
