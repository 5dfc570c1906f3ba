//! Names of credentials: `password`, `X-Api-Key`, `clientSecret`, `MY_ACCESS_TOKEN`.

use crate::redact::bytes::{ends_any_case, is_word};
use crate::redact::rules::{Text, count, firsts, texts};

/// The meaning of a name for the value that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Nothing.
    Other,
    /// A credential.
    Strong,
    /// A credential, or an ordinary word as in "unexpected token: `;`".
    Weak,
    /// The header `Authorization`: a scheme and credentials.
    Authorization,
    /// The header `Cookie`: pairs up to the end of the line.
    Cookie,
    /// A credential when it is in the query of a URL and looks like a secret, or has the length of a key.
    Query,
    /// A credential when its value has the length of a key, and digits.
    Suspect,
}

/// The greatest length of a name. Of a longer name, only the end is examined.
const LONGEST: usize = 64;

/// The kinds of rows of `rules/names.tsv`, in their order.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Strong,
    Weak,
    AlwaysWeak,
    Key,
    PlainKey,
    Counted,
    End,
    Glued,
    Header,
    Cookie,
    Query,
    Suffix,
    Tail,
    Phrase,
    Label,
}

const KINDS: [&[u8]; 15] = [
    b"strong",
    b"weak",
    b"always-weak",
    b"key",
    b"plain-key",
    b"counted",
    b"end",
    b"glued",
    b"header",
    b"cookie",
    b"query",
    b"suffix",
    b"tail",
    b"phrase",
    b"label",
];

const ROWS: &[u8] = include_bytes!("rules/names.tsv");

static NAMES: [Text<24>; count(ROWS)] = texts(ROWS, 1);

static FIRST: [usize; KINDS.len() + 1] = firsts(ROWS, &KINDS);

fn list(kind: Kind) -> &'static [Text<24>] {
    &NAMES[FIRST[kind as usize]..FIRST[kind as usize + 1]]
}

/// Whether the list has `word`.
fn is_in(kind: Kind, word: &str) -> bool {
    list(kind).iter().any(|listed| listed.as_bytes() == word.as_bytes())
}

/// The place of a letter that is missing, as the third from the end of a name of two letters.
const NO_LETTER: usize = 26;

/// For the third letter from the end and the one behind it, a bit for each letter that may come last in a listed name.
static LAST_THREE: [[u32; 26]; NO_LETTER + 1] = {
    let mut letters = [[0_u32; 26]; NO_LETTER + 1];
    let mut at = 0;
    while at < NAMES.len() {
        let ends = at < FIRST[Kind::Key as usize]
            || (at >= FIRST[Kind::End as usize] && at < FIRST[Kind::Suffix as usize])
            || (at >= FIRST[Kind::Phrase as usize] && at < FIRST[Kind::Label as usize]);
        if ends {
            letters = with_end(letters, NAMES[at].end::<3>());
        }
        at += 1;
    }
    // Behind a word of the kind `key`.
    with_end(with_end(letters, *b"key"), *b"eys")
};

/// The table with a name that ends in these letters. The first is 0 when the name has two letters: any may be before them.
const fn with_end(mut letters: [[u32; 26]; NO_LETTER + 1], end: [u8; 3]) -> [[u32; 26]; NO_LETTER + 1] {
    let [third, before, last] = end;
    let mut at = 0;
    while at <= NO_LETTER {
        if third == 0 || at == (third - b'a') as usize {
            letters[at][(before - b'a') as usize] |= 1 << (last - b'a');
        }
        at += 1;
    }
    letters
}

/// Whether `name` ends in three letters that end a listed name. Most names do not.
pub(super) fn may_be_listed(name: &[u8]) -> bool {
    let letter = |byte: &u8| usize::from(byte.to_ascii_lowercase() - b'a');
    let listed = |third: usize, before, last| LAST_THREE[third][letter(before)] & (1 << letter(last)) != 0;
    if let [.., third, before, last] = name
        && third.is_ascii_alphabetic()
        && before.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
    {
        return listed(letter(third), before, last);
    }
    // `words` removes digits at the end, and `without_marks` removes marks.
    let mut bytes = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
    let Some(last) = bytes.find(|byte| byte.is_ascii_alphabetic()) else { return false };
    let Some(before) = bytes.next().filter(|byte| byte.is_ascii_alphabetic()) else { return false };
    let third = bytes.next().filter(|byte| byte.is_ascii_alphabetic()).map_or(NO_LETTER, letter);
    listed(third, before, last)
}

/// Whether `name` contains the beginning of a word for a credential.
fn has_stem(name: &[u8]) -> bool {
    const STEMS: [&[u8; 3]; 9] = [b"pas", b"pwd", b"sec", b"tok", b"key", b"cre", b"aut", b"wor", b"dpw"];
    /// The second letters of the stems, of which there are fewer than of first letters.
    const SECOND: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < STEMS.len() {
            let letter = STEMS[at][1];
            table[letter as usize] = true;
            table[letter.to_ascii_uppercase() as usize] = true;
            at += 1;
        }
        table
    };
    name.windows(3).any(|three| {
        SECOND[usize::from(three[1])] && STEMS.iter().any(|stem| stem.eq_ignore_ascii_case(three))
    })
}

/// Whether `name` may be related to a listed one: it contains a stem, or ends in a short word for a credential.
fn may_be_related(name: &[u8]) -> bool {
    has_stem(name) || ends_any_case(name, b"pw") || ends_any_case(name, b"pat")
}

/// Whether a value may follow `name`: it may be a name, or the end of a label.
pub(super) fn may_be_name(name: &[u8]) -> bool {
    let name = &name[name.len().saturating_sub(LONGEST)..];
    may_be_listed(name) || may_be_related(name)
}

/// The meaning of `name` in any spelling. A word ends at `_`, `-`, `.`, and before a capital letter.
pub(super) fn classify(name: &[u8]) -> Name {
    let name = &name[name.len().saturating_sub(LONGEST)..];
    if may_be_name(name) { look_up(name) } else { Name::Other }
}

/// [`classify`] of a name of at most [`LONGEST`] bytes.
pub(super) fn look_up(name: &[u8]) -> Name {
    let mut buffer = [0; 2 * LONGEST];
    let words = words(name, &mut buffer);
    match listed(words) {
        Name::Other if may_be_related(name) => related(words),
        name => name,
    }
}

/// The meaning of a name that is listed, as a whole or by its end.
fn listed(words: &str) -> Name {
    let mut glued_buffer = [0; LONGEST];
    let glued = without_marks(words, &mut glued_buffer);
    let whole =
        [(Kind::Header, Name::Authorization), (Kind::Cookie, Name::Cookie), (Kind::Query, Name::Query)];
    if let Some((_, name)) = whole.iter().find(|(kind, _)| is_in(*kind, words)) {
        return *name;
    }
    let (before, last) = words.rsplit_once('_').unwrap_or(("", words));
    let previous = before.rsplit('_').next().unwrap_or_default();
    if is_in(Kind::Strong, last)
        || list(Kind::End).iter().any(|end| ends_with_word(words.as_bytes(), end.as_bytes()))
    {
        return Name::Strong;
    }
    if is_in(Kind::AlwaysWeak, last) {
        return Name::Weak;
    }
    if is_in(Kind::Weak, last) {
        return match previous {
            "" => Name::Weak,
            counted if is_in(Kind::Counted, counted) && last == "token" => Name::Other,
            _ => Name::Strong,
        };
    }
    let is_key = matches!(last, "key" | "keys") && is_in(Kind::Key, previous);
    let ends = || list(Kind::Glued).iter().any(|end| glued.as_bytes().ends_with(end.as_bytes()));
    if is_key || ends() { Name::Strong } else { Name::Other }
}

/// The meaning of a name that is not listed, but ends in a word for a credential or has one before its last words:
/// `password_prod`, `repotoken`, `hubspot_key`, `token_of_the_day`.
fn related(words: &str) -> Name {
    /// The greatest number of words behind the word for a credential.
    const BEHIND: usize = 3;
    let (before, last) = words.rsplit_once('_').unwrap_or(("", words));
    let previous = before.rsplit('_').next().unwrap_or_default();
    if is_in(Kind::Tail, last) || matches!(last, "keys" | "tokens") {
        return Name::Other;
    }
    let glued = ["key", "token", "secret", "pw", "pat"].iter().find_map(|end| last.strip_suffix(end));
    if let Some(stem) = glued {
        let plain = if stem.is_empty() { previous } else { stem };
        let plain =
            is_in(Kind::PlainKey, plain) || is_in(Kind::PlainKey, last) || is_in(Kind::Counted, plain);
        return if plain { Name::Other } else { Name::Suspect };
    }
    let (mut rest, mut known) = (words, true);
    for _ in 0..BEHIND {
        let Some((before, last)) = rest.rsplit_once('_') else { break };
        if is_in(Kind::Tail, last) {
            break;
        }
        known &= is_in(Kind::Suffix, last);
        match listed(before) {
            Name::Strong | Name::Weak if known => return Name::Strong,
            Name::Strong | Name::Weak => return Name::Suspect,
            _ => rest = before,
        }
    }
    Name::Other
}

/// The label of several words in which the text up to `end` ends: `API Key`, `mot de passe`.
pub(super) fn phrase(text: &[u8], end: usize) -> Option<&'static [u8]> {
    list(Kind::Phrase).iter().map(Text::as_bytes).find(|phrase| {
        let Some(start) = end.checked_sub(phrase.len()) else { return false };
        text[start..end].eq_ignore_ascii_case(phrase)
            && !start.checked_sub(1).is_some_and(|at| is_word(text[at]))
    })
}

/// Whether a label ends in this byte.
static LABEL_ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut at = FIRST[Kind::Label as usize];
    while at < NAMES.len() {
        ends[NAMES[at].end::<1>()[0] as usize] = true;
        at += 1;
    }
    ends
};

/// The label in which `name`, which has letters beyond ASCII, ends.
pub(super) fn label(name: &[u8]) -> Option<&'static [u8]> {
    if !name.last().is_some_and(|last| LABEL_ENDS[usize::from(last.to_ascii_lowercase())]) {
        return None;
    }
    let mut buffer = [0; LONGEST];
    let name = &name[name.len().saturating_sub(LONGEST)..];
    let small = &mut buffer[..name.len()];
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    list(Kind::Label).iter().map(Text::as_bytes).find(|label| small.ends_with(label))
}

/// Whether the last word of `words`, as in `password_policy`, makes the name one of something else.
pub(super) fn is_tail(word: &[u8]) -> bool {
    list(Kind::Tail).iter().any(|tail| tail.as_bytes().eq_ignore_ascii_case(word))
}

fn ends_with_word(words: &[u8], end: &[u8]) -> bool {
    words.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with(b"_"))
}

/// `name` in small letters, with `_` between its words, without digits at the end.
fn words<'b>(name: &[u8], out: &'b mut [u8; 2 * LONGEST]) -> &'b str {
    let mut len = 0;
    let mut previous = b'_';
    for (at, &byte) in name.iter().enumerate() {
        let next_is_small = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        let begins = byte.is_ascii_uppercase()
            && (previous.is_ascii_lowercase() || (previous.is_ascii_uppercase() && next_is_small));
        let mark = !byte.is_ascii_alphanumeric();
        if (begins || mark) && len > 0 && out[len - 1] != b'_' {
            out[len] = b'_';
            len += 1;
        }
        if !mark {
            out[len] = byte.to_ascii_lowercase();
            len += 1;
        }
        previous = byte;
    }
    while len > 0 && (out[len - 1] == b'_' || out[len - 1].is_ascii_digit()) {
        len -= 1;
    }
    std::str::from_utf8(&out[..len]).unwrap_or_default()
}

fn without_marks<'b>(words: &str, out: &'b mut [u8; LONGEST]) -> &'b str {
    let mut len = 0;
    for byte in words.bytes().filter(|byte| *byte != b'_').take(LONGEST) {
        out[len] = byte;
        len += 1;
    }
    std::str::from_utf8(&out[..len]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_in_every_spelling() {
        let names = "password PASSWORD DB_PASSWORD dbPassword dbpassword PASSWORD2 passwd pwd MYSQL_PWD \
            api_key apikey apiKey APIKey API-KEY X-Api-Key x_api_key OPENAI_API_KEY access_token \
            accessToken AccessToken ACCESSTOKEN refresh_token id_token GITHUB_TOKEN client_secret \
            clientSecret AWS_SECRET_ACCESS_KEY aws_access_key_id AccountKey SharedAccessKey \
            X-Amz-Security-Token X-Vault-Token PRIVATE-TOKEN _authToken npm_config__auth \
            Ocp-Apim-Subscription-Key x-functions-key secret_key_base code_verifier private_key \
            JSESSIONID";
        for name in names.split(' ') {
            assert_eq!(classify(name.as_bytes()), Name::Strong, "{name}");
        }
        for name in
            ["token", "Token", "secret", "auth", "sig", "Signature", "X-Amz-Signature", "jwt", "credentials"]
        {
            assert_eq!(classify(name.as_bytes()), Name::Weak, "{name}");
        }
        assert_eq!(classify(b"Authorization"), Name::Authorization);
        assert_eq!(classify(b"PROXY-AUTHORIZATION"), Name::Authorization);
        assert_eq!(classify(b"Set-Cookie"), Name::Cookie);
    }

    #[test]
    fn an_ordinary_name_is_not_a_credential() {
        let names = "_ - 7 author authority authors tokens max_tokens max_token tokenizer token_count \
            token_type keyboard primary_key publicKey foreign_key cache-key sort_key password_length \
            compass bypass secretary passive designature monkey path session auth_method token-file \
            password-stdin signal cookie_policy keys";
        for name in names.split(' ').chain([""]) {
            assert_eq!(classify(name.as_bytes()), Name::Other, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_long_name_counts() {
        let long = format!("{}_password", "Ab".repeat(5000));
        assert_eq!(classify(long.as_bytes()), Name::Strong);
        assert_eq!(classify("Ab".repeat(5000).as_bytes()), Name::Other);
    }
}
