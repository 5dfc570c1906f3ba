//! Values behind a name of a credential that are none, and what programs write around a value.

use crate::redact::bytes::{REDACTED, begins, is_quote, is_space, is_word, run_within, starts};
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
    // `your-api-key-here`
    let yours = value.len() > 5 && begins(value, 0, b"your") && matches!(value[4], b'-' | b'_');
    if yours && !value.iter().any(u8::is_ascii_digit) {
        return true;
    }
    match value {
        [b'$', b'{', b'{', ..] => value.ends_with(b"}}"),
        [b'$', b'{', name @ .., b'}'] => variable(name) || upper(name),
        // A parameter of SQL.
        [b':', name @ ..] => variable(name) && classify(name) != Name::Other,
        [b'{', b'{', .., b'}', b'}'] | [b'{', b'}'] | [b'%', b's' | b'v' | b'q'] => true,
        [b'$', name @ ..] => upper(name) || parameter(name),
        [b'%', name @ .., b'%'] => upper(name),
        [b'{', name @ .., b'}'] | [b'<', name @ .., b'>'] => variable(name),
        // Rails
        b"[FILTERED]" => true,
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
    // `(sensitive value)`
    if text.get(start) == Some(&b'(') {
        let end = run_within(text, start + 1, 64, |byte| byte.is_ascii_alphabetic() || byte == b' ');
        return (end > start + 1 && text.get(end) == Some(&b')')).then_some(end + 1);
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
    let calls = |prefix: &&Text<40>| {
        matches!(prefix.as_bytes(), [b'A'..=b'z', .., b'(' | b'[']) && text.starts_with(prefix.as_bytes())
    };
    list(Kind::Reference).iter().any(|prefix| calls(&prefix))
}

/// Whether a call of a function begins at `start` that gets the value from elsewhere, or waits for it: `input("Password: ")`,
/// `request.headers.get("X")`, `await getToken()`.
pub(super) fn is_call_of_value(text: &[u8], start: usize) -> bool {
    const GETTERS: [&[u8]; 15] = [
        b"getenv", b"getpass", b"next", b"get", b"read", b"prompt", b"ask", b"input", b"fetch", b"load",
        b"find", b"lookup", b"query", b"require", b"await",
    ];
    let end = run_within(text, start, 64, |byte| is_word(byte) || matches!(byte, b':' | b'.' | b'!'));
    let path = &text[start..end];
    let name = path.rsplit(|byte| matches!(byte, b':' | b'.')).next().unwrap_or_default();
    let gets = GETTERS
        .iter()
        .any(|it| begins(name, 0, it) && name.get(it.len()).is_none_or(|next| !next.is_ascii_lowercase()));
    gets && match text.get(end) {
        Some(b'(') => true,
        Some(b' ') => name == b"await",
        _ => false,
    }
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
pub(super) fn is_reference(value: &[u8], quoted: bool, literal: bool) -> bool {
    // Behind `var.` comes a name.
    let refers = |prefix: &&Text<40>| {
        let prefix = prefix.as_bytes();
        value.strip_prefix(prefix).is_some_and(|rest| {
            !prefix.ends_with(b".")
                || rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        })
    };
    if let Some(prefix) = list(Kind::Reference).iter().find(refers) {
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
    !quoted && !literal && is_name(value)
}

/// Whether the value is itself the name of a credential: `secretKey: api-key`, `token: AccessToken`. A name with `-` has no
/// other word in it, since people choose passwords such as `hunter-password`.
fn is_name(value: &[u8]) -> bool {
    const BEFORE: [&[u8]; 9] =
        [b"api", b"access", b"secret", b"private", b"auth", b"client", b"refresh", b"session", b"signing"];
    const LAST: [&[u8]; 3] = [b"key", b"secret", b"token"];
    let letters = value.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    if !letters || value.len() > 40 || !matches!(classify(value), Name::Strong | Name::Weak) {
        return false;
    }
    let hump = || value.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let mut words = value.split(|byte| *byte == b'-');
    match (words.next_back(), words.next_back()) {
        (Some(last), Some(before)) => {
            LAST.contains(&last) && BEFORE.contains(&before) && words.all(|word| BEFORE.contains(&word))
        }
        _ => value.contains(&b'_') || hump(),
    }
}

/// Whether the value, behind which `next` comes, is a path of three names or more, or makes a value of a type:
/// `aws_secret.db.id`, `Column(String(128))`.
pub(super) fn is_expression(value: &[u8], next: Option<u8>) -> bool {
    let is_name =
        |name: &[u8]| !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    let path = value.split(|byte| *byte == b'.');
    let word = value.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    (value.iter().filter(|byte| **byte == b'.').count() >= 2 && path.into_iter().all(is_name))
        || (word >= 3
            && value[0].is_ascii_uppercase()
            && value.get(word) == Some(&b'(')
            && next == Some(b')'))
}

/// Whether the value, behind which `next` comes, calls a function, is a path of names, or is a type: `read_token()`,
/// `Kind::Password`, `Option<Token>`, `hashlib.sha256(p).hexdigest()`.
pub(super) fn is_code(value: &[u8], next: Option<u8>) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b':');
    let in_path = |byte: &u8| is_name(byte) || byte.is_ascii_digit();
    // The digits of a function's name, and of arguments.
    let call = value.iter().position(|byte| !in_path(byte)).filter(|at| value[*at] == b'(');
    let method = call.is_some_and(|call| {
        value[0].is_ascii_alphabetic() && value[..call].contains(&b'.') && matches!(next, Some(b')' | b','))
    });
    if method {
        return true;
    }
    if value.iter().any(u8::is_ascii_digit) {
        return false;
    }
    let end = value.iter().position(|byte| !is_name(byte)).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    let path = name.windows(2).any(|two| two == b"::");
    let hump = name.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let joined = hump || name.iter().any(|byte| matches!(byte, b'_' | b'.' | b':'));
    match rest {
        [] | [b','] => path && name.len() >= 4,
        [b'(', b')', ..] | [b'('] => name.len() >= 3,
        [b'(', ..] => joined && name.len() >= 3 && matches!(next, Some(b')' | b',')),
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
        at += ["new ", "!!str "].iter().find(|word| starts(text, at, word)).map_or(0, |word| word.len());
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
            b'(' if string(text, inside).is_some() => (at, list) = (inside, true),
            b'{' => match field(text, at) {
                Some(value) => at = value,
                None => break,
            },
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
            // PHP: `string(6) "…"`
            let length = run_within(text, open + 1, 8, |byte| byte.is_ascii_digit());
            if path == b"string" && length > open + 1 && starts(text, length, ") \"") {
                return Some((length + 2, false));
            }
            let is_wrapper = |path: &[u8], name: &[u8]| {
                list(Kind::Wrapper).iter().any(|it| it.as_bytes() == name || it.as_bytes() == path)
            };
            let next = &text[inside..run_within(text, inside, LONGEST, is_word)];
            let wraps = text.get(inside + next.len()) == Some(&b'(')
                && is_wrapper(next, next)
                && string(text, inside + next.len() + 1).is_some();
            let string = string(text, inside).is_some();
            (is_wrapper(path, name) || string || wraps).then_some((inside, string))
        }
        b'{' if slice == at + 2 && matches!(path, b"byte" | b"uint8" | b"string") => {
            Some((run_within(text, open + 1, LONGEST, is_space), true))
        }
        byte if *byte == b'{' || (is_space(*byte) && text.get(open + 1) == Some(&b'{')) => {
            let brace = if *byte == b'{' { open } else { open + 1 };
            let inside = field(text, brace).filter(|_| path.first().is_some_and(u8::is_ascii_uppercase))?;
            Some((inside, false))
        }
        _ => None,
    }
}

/// The value of the first field behind the brace at `brace`, if it is one around a value: `{ data: …`, `{"value": …`.
fn field(text: &[u8], brace: usize) -> Option<usize> {
    const LONGEST: usize = 64;
    let start = run_within(text, brace + 1, LONGEST, is_space);
    let quote = usize::from(text.get(start) == Some(&b'"'));
    let name = start + quote;
    let end = run_within(text, name, LONGEST, is_word);
    let colon = end + quote;
    let known = is_in(Kind::Field, &text[name..end]) && text[end..].starts_with(&b"\":"[1 - quote..]);
    let inside = run_within(text, colon + 1, LONGEST, is_space);
    (known && (inside > colon + 1 || quote > 0)).then_some(inside)
}
