//! The question on the first run.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::consent::consent::{Consent, ConsentReason, is_one_of, variable};
use crate::consent::source::ConsentSource;
use crate::error::Error;
use crate::redact::personal::PersonalData;

/// The user's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Consent. It is stored.
    Yes,
    /// No consent. It is stored, and nobody asks again.
    No,
    /// No answer. Nothing is stored, and the question comes again.
    Skipped,
}

/// A way to ask the user.
pub trait Prompt {
    /// Whether a person can answer. Default: whether standard input and standard error are a terminal.
    fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks `question`: several lines, without a line feed at the end.
    ///
    /// # Errors
    /// When the question can't be asked. Nothing is stored then.
    fn ask(&mut self, question: &str) -> io::Result<Answer>;
}

/// Asks on standard error, and reads a line from standard input.
#[derive(Debug, Clone, Copy, Default)]
pub struct TerminalPrompt;

impl Prompt for TerminalPrompt {
    fn ask(&mut self, question: &str) -> io::Result<Answer> {
        let mut err = io::stderr().lock();
        write!(err, "{question} [y/n, Enter to decide later] ")?;
        err.flush()?;
        let mut line = Vec::new();
        // An answer is short. The rest of a pasted text stays in the terminal.
        io::stdin().lock().take(1024).read_until(b'\n', &mut line)?;
        Ok(answer(&String::from_utf8_lossy(&line)))
    }
}

fn answer(line: &str) -> Answer {
    match line.trim() {
        yes if is_one_of(yes, &["y", "yes"]) => Answer::Yes,
        no if is_one_of(no, &["n", "no"]) => Answer::No,
        _ => Answer::Skipped,
    }
}

/// The result of the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstRun {
    /// The question was not asked: consent is decided already, or nobody can answer.
    NotAsked,
    /// The question was not answered.
    Skipped,
    /// The answer is stored; the consent that is now in force.
    Answered(Consent),
}

/// What is taken out of arguments and error messages, for people who decide about their collection.
pub(crate) fn taken_out(personal_data: PersonalData) -> &'static str {
    match personal_data {
        PersonalData::Redact => "without secrets and personal data as far as they can be recognised",
        PersonalData::Keep => "without secrets as far as they can be recognised, and with personal data",
    }
}

/// The question, with a list of what is collected and what never is. It names the commands of the feature `clap`, which the
/// tool has to mount; without the feature, the file and a variable. `extended` is for extended collection, of arguments and
/// error messages: whether personal data are taken out of them.
#[must_use]
pub fn prompt_text(tool: &str, extended: Option<PersonalData>) -> String {
    let change = if cfg!(feature = "clap") {
        format!(
            "You can change your mind at any time with `{tool} telemetry enable` and `{tool} telemetry disable`."
        )
    } else {
        "You can change your mind at any time: `enabled = false` below `[telemetry]` in the tool's file, or the variable\n\
         DO_NOT_TRACK=1, ends it."
            .to_owned()
    };
    let (also, never) = match extended.map(taken_out) {
        Some(taken_out) => (
            format!(
                "It also collects the arguments of commands and error messages,\n\
                 {taken_out};\n\
                 they may contain names of files, and whatever else you type.\n"
            ),
            "Beyond that it collects no",
        ),
        None => {
            ("It never collects arguments of commands or error messages.\n".to_owned(), "Nor does it collect")
        }
    };
    format!(
        "{tool} can collect pseudonymous usage data: which commands run, how long they take and whether they succeed,\n\
         its version, the operating system, and a random-looking id of this machine that no other tool shares.\n\
         {also}{never} contents or paths of files, environment variables, IP addresses, user names or host names.\n\
         {change}\n\
         Do you agree?"
    )
}

/// Variables of build services.
const UNATTENDED: &str =
    "CI CONTINUOUS_INTEGRATION BUILD_NUMBER TF_BUILD TEAMCITY_VERSION JENKINS_URL GITHUB_ACTIONS";

impl ConsentSource {
    /// Asks the user of `tool` the question of [`prompt_text`], at each run until there is an answer. Does not ask when
    /// consent is decided already, when no answer could be stored, when nobody can answer, or with `CI` set (to any value
    /// but an empty one, `0` and `false`).
    ///
    /// # Errors
    /// As [`enable`](Self::enable). A question that can't be asked counts as not answered.
    pub fn first_run(
        &self,
        tool: &str,
        extended: Option<PersonalData>,
        prompt: &mut dyn Prompt,
    ) -> Result<FirstRun, Error> {
        let set = |name: &str| {
            variable(self.environment(), name)
                .is_some_and(|it| !is_one_of(it.value.as_raw(), &["0", "false"]))
        };
        if UNATTENDED.split(' ').any(set)
            || self.options().file.is_none()
            || self.read().why != ConsentReason::NoAnswer
            || !prompt.is_interactive()
        {
            return Ok(FirstRun::NotAsked);
        }
        let enabled = match prompt.ask(&prompt_text(tool, extended)) {
            Ok(Answer::Yes) => true,
            Ok(Answer::No) => false,
            Ok(Answer::Skipped) | Err(_) => return Ok(FirstRun::Skipped),
        };
        self.write(enabled, true).map(FirstRun::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_word_and_all_else_is_none() {
        for (line, expected) in [
            ("y\n", Answer::Yes),
            ("YES\r\n", Answer::Yes),
            ("n\n", Answer::No),
            ("No", Answer::No),
            ("", Answer::Skipped),
            ("\n", Answer::Skipped),
            ("yeah\n", Answer::Skipped),
            ("q\n", Answer::Skipped),
        ] {
            assert_eq!(answer(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_question_says_pseudonymous() {
        for extended in [None, Some(PersonalData::Redact), Some(PersonalData::Keep)] {
            let text = prompt_text("tool", extended);
            assert!(text.contains("pseudonymous") && !text.contains("anonymous "), "{text}");
            // A tool without the subcommands has the file and the variable.
            let way = if cfg!(feature = "clap") { "`tool telemetry disable`" } else { "DO_NOT_TRACK=1" };
            assert!(text.contains(way), "{text}");
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        }
    }

    #[test]
    fn the_question_says_whether_arguments_and_error_messages_are_collected() {
        let usage = prompt_text("tool", None);
        assert!(usage.contains("never collects arguments of commands or error messages"), "{usage}");
        for personal_data in [PersonalData::Redact, PersonalData::Keep] {
            let extended = prompt_text("tool", Some(personal_data));
            assert!(
                extended.contains("also collects the arguments of commands and error messages"),
                "{extended}"
            );
            assert!(extended.contains(taken_out(personal_data)), "{extended}");
            assert!(extended.contains("names of files") && !extended.contains("never"), "{extended}");
        }
    }
}
