use crate::consent::consent::tests::*;
use crate::consent::prompt::{Answer, FirstRun, Prompt};

/// Answers the same each time, and counts the questions.
struct Scripted {
    interactive: bool,
    answer: Answer,
    asked: usize,
}

impl Prompt for Scripted {
    fn is_interactive(&self) -> bool {
        self.interactive
    }

    fn ask(&mut self, question: &str) -> std::io::Result<Answer> {
        assert!(question.contains("pseudonymous"));
        self.asked += 1;
        Ok(self.answer)
    }
}

fn scripted(answer: Answer) -> Scripted {
    Scripted { interactive: true, answer, asked: 0 }
}

#[test]
fn an_answered_question_is_stored_and_does_not_come_again() {
    for (answer, expected) in [(Answer::Yes, true), (Answer::No, false)] {
        let user = User::new();
        let mut prompt = scripted(answer);
        let FirstRun::Answered(consent) = user.source().first_run("tool", None, &mut prompt).unwrap() else {
            panic!("not answered")
        };
        assert_eq!(consent.is_enabled(), expected);
        assert_eq!(user.source().first_run("tool", None, &mut prompt).unwrap(), FirstRun::NotAsked);
        assert_eq!(prompt.asked, 1);
    }
}

#[test]
fn a_skipped_question_stores_nothing_and_comes_again() {
    let user = User::new();
    let mut prompt = scripted(Answer::Skipped);
    for _ in 0..2 {
        assert_eq!(user.source().first_run("tool", None, &mut prompt).unwrap(), FirstRun::Skipped);
    }
    assert_eq!(prompt.asked, 2);
    assert_eq!(fs::read_dir(user.folder.path()).unwrap().count(), 0);
}

#[test]
fn nobody_is_asked_where_nobody_is_there_or_something_has_decided() {
    let not_asked = |user: &User, mut prompt: Scripted| {
        assert_eq!(user.source().first_run("tool", None, &mut prompt).unwrap(), FirstRun::NotAsked);
        assert_eq!(prompt.asked, 0);
    };
    not_asked(&User::new(), Scripted { interactive: false, ..scripted(Answer::Yes) });
    for (name, value) in [
        ("CI", "true"),
        ("CI", "1"),
        ("JENKINS_URL", "http://ci"),
        ("DO_NOT_TRACK", "1"),
        ("TELEMETRY_ENABLED", "false"),
        ("TOOL_TELEMETRY_ENABLED", "true"),
    ] {
        let user = User::new();
        user.set(name, value);
        not_asked(&user, scripted(Answer::Yes));
    }
    for text in [YES, NO, "broken = \n"] {
        not_asked(&User::with_file(text), scripted(Answer::Yes));
    }
    let user = User::new();
    for options in [
        ConsentOptions { force_enabled: true, ..user.options() },
        ConsentOptions { file: None, ..user.options() },
    ] {
        let mut prompt = scripted(Answer::Yes);
        assert_eq!(
            user.source_with(options).first_run("tool", None, &mut prompt).unwrap(),
            FirstRun::NotAsked
        );
        assert_eq!(prompt.asked, 0);
    }
}

#[test]
fn an_answer_that_came_meanwhile_stays() {
    struct Meanwhile<'a>(&'a User);
    impl Prompt for Meanwhile<'_> {
        fn is_interactive(&self) -> bool {
            true
        }

        fn ask(&mut self, _: &str) -> std::io::Result<Answer> {
            self.0.source().disable().unwrap();
            Ok(Answer::Yes)
        }
    }
    let user = User::new();
    let FirstRun::Answered(consent) = user.source().first_run("tool", None, &mut Meanwhile(&user)).unwrap()
    else {
        panic!("not answered")
    };
    assert!(!consent.is_enabled());
    assert_eq!(user.text(), NO);
}
