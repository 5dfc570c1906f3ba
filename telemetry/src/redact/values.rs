//! Values behind a name of a credential that are none, and what programs write around a value.

use crate::redact::bytes::{REDACTED, is_quote, is_space, is_word, run_within, starts};
use crate::redact::key_names::{Name, classify};
use crate::redact::rules::{Text, count, firsts, texts};

/// The kinds of rows of `rules/values.tsv`, in their order.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Nothing,
    Plain,
    Wrapper,
    Field,
    Reference,
}

const KINDS: [&[u8]; 5] = [b"nothing", b"plain", b"wrapper", b"field", b"reference"];

const ROWS: &[u8] = include_bytes!("rules/values.tsv");

static VALUES: [Text<40>; count(ROWS)] = texts(ROWS, 1);

static FIRST: [usize; KINDS.len() + 1] = firsts(ROWS, &KINDS);

fn list(kind: Kind) -> &'static [Text<40>] {
    &VALUES[FIRST[kind as usize]..FIRST[kind as usize + 1]]
}

fn is_in(kind: Kind, value: &[u8]) -> bool {
    list(kind).iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(value))
}

/// Whether there is no value: it is empty, replaced already, or a placeholder.
pub(super) fn is_missing(value: &[u8]) -> bool {
    value.is_empty() || value == REDACTED.as_bytes() || is_placeholder(value)
}

/// Whether the value means nothing. One character alone is punctuation or a switch.
pub(super) fn is_nothing(value: &[u8], assigned: bool) -> bool {
    match if assigned { value } else { sentence(value) } {
        [] => true,
        [one] => one.is_ascii_digit() || (!assigned && one.is_ascii()),
        value => is_in(Kind::Nothing, value),
    }
}

/// Whether the value is a word that follows a colon or a flag in sentences and type declarations.
pub(super) fn is_plain_word(value: &[u8]) -> bool {
    is_in(Kind::Plain, sentence(value))
}

fn sentence(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?'));
    &value[..end.map_or(0, |at| at + 1)]
}

/// Whether the value is a placeholder: `${VAR}`, `$VAR`, `$1`, `{{ var }}`, `{var}`, `%s`, `%VAR%`, `<var>`, `***`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    const LONGEST: usize = 64;
    if value.len() > LONGEST {
        return false;
    }
    let value = value.strip_suffix(b"\\n").unwrap_or(value);
    let variable = |name: &[u8]| {
        !name.is_empty()
            && name.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' '))
    };
    let upper = |name: &[u8]| {
        name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit())
            && name.first().is_some_and(|byte| !byte.is_ascii_digit())
    };
    let parameter = |name: &[u8]| {
        (!name.is_empty() && name.len() <= 2 && name.iter().all(u8::is_ascii_digit))
            || (name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
                && classify(name) != Name::Other)
    };
    match value {
        [b'$', b'{', name @ .., b'}'] => variable(name) || upper(name),
        [b'$', b'{', b'{', ..] => value.ends_with(b"}}"),
        [b'{', b'{', .., b'}', b'}'] | [b'{', b'}'] | [b'%', b's' | b'v' | b'q'] => true,
        [b'$', name @ ..] => upper(name) || parameter(name),
        [b'%', name @ .., b'%'] => upper(name),
        [b'{', name @ .., b'}'] | [b'<', name @ .., b'>'] => variable(name),
        _ => {
            let filled = |byte: &u8| matches!(byte, b'*' | b'.' | b'-' | b'_' | b'?' | b'#');
            let crossed =
                value.len() >= 3 && value.iter().all(|byte| matches!(byte, b'x' | b'X') || filled(byte));
            crossed
                || value.iter().all(filled)
                || value == "…".as_bytes()
                || value.split(|byte| *byte == b'*').all(|part| part.is_empty() || part == "•".as_bytes())
        }
    }
}

/// The end of the placeholder or the expression in brackets that begins at `start`: `${VAR}`, `${VAR:-default}`,
/// `$(cat file)`, `{{ var }}`, `{var}`, `<%= var %>`.
pub(super) fn expression(text: &[u8], start: usize) -> Option<usize> {
    const LONGEST: usize = 128;
    const BRACKETS: [(&str, &str); 7] =
        [("$(", ")"), ("${", "}"), ("<%", "%>"), ("#{", "}"), ("@{", "}"), ("%(", ")s"), ("ENC[", "]")];
    let short = run_within(text, start, 3, |byte| matches!(byte, b'$' | b'{'));
    let name = run_within(text, short, 64, |byte| is_word(byte) || matches!(byte, b' ' | b'.'));
    let close = run_within(text, name, 2, |byte| byte == b'}');
    if close > name && is_placeholder(&text[start..close]) {
        return Some(close);
    }
    if text.get(start) == Some(&b'<') && text.get(start + 1) != Some(&b'%') {
        let end = run_within(text, start + 1, 64, |byte| is_word(byte) || matches!(byte, b' ' | b'.'));
        let whole = text.get(end) == Some(&b'>') && is_placeholder(&text[start..=end]);
        return whole.then_some(end + 1);
    }
    let (open, close) = BRACKETS.iter().find(|(open, _)| starts(text, start, open))?;
    let inside = start + open.len();
    let first = *text.get(inside)?;
    let end = run_within(text, inside, LONGEST, |byte| {
        byte != close.as_bytes()[0] && !matches!(byte, b'\n' | b'\r' | b'"')
    });
    let name = run_within(text, inside, LONGEST, is_word);
    let expression = match *open {
        // `${KEY:-default}` and not `${a!b}`.
        "${" => {
            first.is_ascii_alphabetic()
                && name < end
                && matches!(text[name], b':' | b'-' | b'?' | b'+' | b'.' | b'[' | b'#' | b'%')
        }
        "$(" | "<%" | "ENC[" => end > inside,
        _ => first.is_ascii_alphabetic() && name == end,
    };
    (expression && starts(text, end, close)).then_some(end + close.len())
}

/// Whether a call that reads the value begins here: `getenv("X")`, `ENV["X"]`.
pub(super) fn begins_call(text: &[u8]) -> bool {
    let begins = |prefix: &&Text<40>| {
        matches!(prefix.as_bytes(), [b'A'..=b'z', .., b'(' | b'[']) && text.starts_with(prefix.as_bytes())
    };
    list(Kind::Reference).iter().any(|prefix| begins(&prefix))
}

/// Whether the value is nothing but placeholders and expressions, with `:` between them: `${USER}:${PASSWORD}`, `$1:$2`.
pub(super) fn is_all_placeholders(value: &[u8]) -> bool {
    let mut at = 0;
    while at < value.len() {
        let part = run_within(value, at, value.len(), |byte| byte != b':');
        at = match expression(value, at) {
            Some(end) => end,
            None if is_placeholder(&value[at..part]) => part,
            None => return false,
        };
        match value.get(at) {
            None => return true,
            Some(b':') => at += 1,
            Some(_) => return false,
        }
    }
    !value.is_empty()
}

/// Whether the value is a reference to one that stands elsewhere: `var.db_password`, `os.environ["X"]`, `api-key`.
pub(super) fn is_reference(value: &[u8], quoted: bool) -> bool {
    // Behind `var.` comes a name.
    let begins = |prefix: &&Text<40>| {
        let prefix = prefix.as_bytes();
        value.strip_prefix(prefix).is_some_and(|rest| {
            !prefix.ends_with(b".")
                || rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        })
    };
    if let Some(prefix) = list(Kind::Reference).iter().find(begins) {
        let prefix = prefix.as_bytes();
        let is_word_like =
            prefix[0].is_ascii_alphabetic() && !prefix.iter().any(|byte| matches!(byte, b':' | b'['));
        // Expressions in brackets have been looked at as such.
        let is_bracket =
            matches!(prefix, b"$(" | b"${" | b"$$" | b"<%" | b"{{" | b"%(" | b"#{" | b"@{" | b"ENC[");
        if !(is_bracket || quoted && is_word_like) {
            return true;
        }
    }
    !quoted && (is_name(value) || is_code(value))
}

/// Whether the value is itself the name of a credential: `secretKey: api-key`, `token: AccessToken`.
fn is_name(value: &[u8]) -> bool {
    let letters = value.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    let joined = value.iter().any(|byte| matches!(byte, b'_' | b'-'))
        || value.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    letters && joined && value.len() <= 40 && matches!(classify(value), Name::Strong | Name::Weak)
}

/// Whether the value calls a function, is a path of names, or is a type: `read_token()`, `Kind::Password`, `Option<Token>`.
fn is_code(value: &[u8]) -> bool {
    if value.iter().any(u8::is_ascii_digit) {
        return false;
    }
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b':');
    let end = value.iter().position(|byte| !is_name(byte)).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    let path = name.windows(2).any(|two| two == b"::");
    let hump = name.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let joined = hump || name.iter().any(|byte| matches!(byte, b'_' | b'.' | b':'));
    match rest {
        [] | [b','] => path && name.len() >= 4,
        [b'(', b')', ..] | [b'('] => name.len() >= 3,
        [b'(', ..] => joined && name.len() >= 3,
        [b'<', ..] => name.first().is_some_and(u8::is_ascii_uppercase) && name.len() >= 3,
        _ => false,
    }
}

/// The value behind what a program writes around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// Its beginning, at a quote if it has one.
    pub(super) start: usize,
    /// Whether it is the first of a list.
    pub(super) list: bool,
}

/// Looks through `Some(…)`, `Secret { data: … }`, `b"…"`, `("…",)`, `["…", "…"]`, also over lines. `all`: a bracket opens a
/// list whatever stands in it.
pub(super) fn open(text: &[u8], start: usize, all: bool) -> Opened {
    const DEPTH: usize = 6;
    const SPACE: usize = 64;
    let mut at = start;
    let mut list = false;
    for _ in 0..DEPTH {
        let quote = string(text, at);
        if let Some(quote) = quote {
            at = quote;
            break;
        }
        let Some(&byte) = text.get(at) else { break };
        let inside = run_within(text, at + 1, SPACE, is_space);
        match byte {
            b'[' if !starts(text, at, REDACTED)
                && text.get(at + 1) != Some(&b']')
                && (all || string(text, inside).is_some()) =>
            {
                (at, list) = (inside, true);
            }
            b'(' if string(text, inside).is_some() => at = inside,
            b'A'..=b'Z' | b'a'..=b'z' | b'[' => match call(text, at) {
                Some((inside, opens_list)) => (at, list) = (inside, list || opens_list),
                None => break,
            },
            _ => break,
        }
    }
    Opened { start: at, list }
}

/// The position of the quote of the string that begins at `at`, behind signs such as `b`, `r#` and `@`.
fn string(text: &[u8], at: usize) -> Option<usize> {
    let quote = run_within(text, at, 3, |byte| {
        matches!(
            byte,
            b'b' | b'B' | b'r' | b'R' | b'u' | b'U' | b'f' | b'F' | b'L' | b'@' | b'$' | b'#' | b'&' | b'\\'
        )
    });
    let first = *text.get(quote).filter(|byte| is_quote(**byte))?;
    // `"""…"""`
    let triple = text.get(quote + 1) == Some(&first) && text.get(quote + 2) == Some(&first);
    if triple {
        return Some(quote + 2);
    }
    // Escaped quotes begin with their escape.
    let escapes = text[at..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
    Some(quote - escapes)
}

/// The first argument of the call, or the value of the first field, that begins at `at`, and whether it is in a list.
fn call(text: &[u8], at: usize) -> Option<(usize, bool)> {
    const LONGEST: usize = 64;
    let slice = run_within(text, at, 2, |byte| matches!(byte, b'[' | b']'));
    let end = run_within(text, slice, LONGEST, |byte| is_word(byte) || matches!(byte, b':' | b'.'));
    let path = &text[slice..end];
    let name = path.rsplit(|byte| matches!(byte, b':' | b'.')).next().unwrap_or_default();
    let mut open = end;
    if text.get(open) == Some(&b'<') {
        open = run_within(text, open, LONGEST, |byte| byte != b'>' && !is_space(byte) && !is_quote(byte)) + 1;
    }
    match text.get(open)? {
        b'(' => {
            let inside = run_within(text, open + 1, LONGEST, is_space);
            let known = list(Kind::Wrapper).iter().any(|it| it.as_bytes() == name || it.as_bytes() == path);
            (known || string(text, inside).is_some()).then_some((inside, false))
        }
        b'{' if slice == at + 2 && matches!(path, b"byte" | b"uint8" | b"string") => {
            Some((run_within(text, open + 1, LONGEST, is_space), true))
        }
        byte if *byte == b'{' || (is_space(*byte) && text.get(open + 1) == Some(&b'{')) => {
            let brace = if *byte == b'{' { open } else { open + 1 };
            let field = run_within(text, brace + 1, LONGEST, is_space);
            let colon = run_within(text, field, LONGEST, is_word);
            let inside = run_within(text, colon + 1, LONGEST, is_space);
            let known =
                is_in(Kind::Field, &text[field..colon]) && path.first().is_some_and(u8::is_ascii_uppercase);
            (known && text.get(colon) == Some(&b':') && inside > colon + 1).then_some((inside, false))
        }
        _ => None,
    }
}
