//! Names of credentials: `password`, `X-Api-Key`, `clientSecret`, `MY_ACCESS_TOKEN`.

/// What a name says of the value that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Nothing.
    Other,
    /// A credential.
    Strong,
    /// A credential, or a word of ordinary prose: "unexpected token: `;`".
    Weak,
    /// Scheme and credentials, as in the header of that name.
    Authorization,
    /// Pairs up to the line's end.
    Cookie,
    /// A credential when it stands in a URL's query and looks like one.
    Query,
}

/// Longest name that is looked at; of a longer one its end.
const LONGEST: usize = 64;

/// Last words of names of credentials.
const STRONG: [&str; 9] =
    ["password", "passwd", "passwords", "passphrase", "passcode", "pwd", "apikey", "apitoken", "privatekey"];

/// Last words that are credentials as a part of a longer name, and alone perhaps.
const WEAK: [&str; 14] = [
    "token",
    "secret",
    "secrets",
    "auth",
    "oauth",
    "pass",
    "credential",
    "credentials",
    "creds",
    "cred",
    "jwt",
    "bearer",
    "otp",
    "sas",
];

/// Last words that have an ordinary meaning in longer names, too.
const ALWAYS_WEAK: [&str; 2] = ["sig", "signature"];

/// A `key` that belongs to one of these is secret; a primary, public, cache or sort key is not.
const KEYS: [&str; 26] = [
    "api",
    "apis",
    "access",
    "secret",
    "private",
    "priv",
    "auth",
    "account",
    "encryption",
    "signing",
    "master",
    "shared",
    "storage",
    "subscription",
    "service",
    "app",
    "application",
    "client",
    "webhook",
    "integration",
    "admin",
    "consumer",
    "deploy",
    "functions",
    "license",
    "instrumentation",
];

/// A number of tokens is no token.
const COUNTED: [&str; 8] = ["max", "min", "num", "total", "n", "prompt", "completion", "unexpected"];

/// Ends of names, of whole words.
const ENDS: [&str; 10] = [
    "access_key_id",
    "secret_key_base",
    "auth_code",
    "authorization_code",
    "code_verifier",
    "client_assertion",
    "password_hash",
    "password_digest",
    "saml_response",
    "connection_string",
];

/// Ends of names that are written without a mark between the words.
const GLUED: [&str; 24] = [
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "apitoken",
    "apisecret",
    "appsecret",
    "appkey",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "idtoken",
    "sessiontoken",
    "bearertoken",
    "clientsecret",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "accesskeyid",
    "accountkey",
    "privatekey",
    "dbpass",
    "jsessionid",
    "phpsessid",
];

/// The names that are looked for whole.
const WHOLE: [&str; 8] = [
    "authorization",
    "proxy_authorization",
    "http_authorization",
    "cookie",
    "set_cookie",
    "http_cookie",
    "key",
    "code",
];

/// For each small letter, the letters that come before it at the end of a name that is listed, a bit each.
const LAST_TWO: [u32; 26] = {
    const fn add(mut pairs: [u32; 26], names: &[&str]) -> [u32; 26] {
        let mut at = 0;
        while at < names.len() {
            let name = names[at].as_bytes();
            let (before, last) = (name[name.len() - 2], name[name.len() - 1]);
            pairs[(last - b'a') as usize] |= 1 << (before - b'a');
            at += 1;
        }
        pairs
    }
    let pairs = add(add(add([0; 26], &STRONG), &WEAK), &ALWAYS_WEAK);
    add(add(add(add(pairs, &ENDS), &GLUED), &WHOLE), &["key", "keys"])
};

/// Whether the last two letters of `name` are those of a listed one, which those of most names are not.
fn may_be_listed(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.to_ascii_lowercase() - b'a';
    let listed = |before, last| LAST_TWO[usize::from(letter(last))] & (1 << letter(before)) != 0;
    if let [.., before, last] = name
        && before.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
    {
        return listed(before, last);
    }
    // As `words` and `without_marks` see it: no digits at the end, and marks nowhere.
    let mut bytes = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
    let Some(last) = bytes.find(|byte| byte.is_ascii_alphabetic()) else { return false };
    let Some(before) = bytes.next().filter(|byte| byte.is_ascii_alphabetic()) else { return false };
    listed(before, last)
}

/// What `name` announces. Spelling does not matter: words end at `_`, `-`, `.`, and where a capital begins.
pub(super) fn classify(name: &[u8]) -> Name {
    let name = &name[name.len().saturating_sub(LONGEST)..];
    if may_be_listed(name) { look_up(name) } else { Name::Other }
}

/// [`classify`] of a name of at most [`LONGEST`] bytes.
pub(super) fn look_up(name: &[u8]) -> Name {
    let mut buffer = [0; 2 * LONGEST];
    let mut glued_buffer = [0; LONGEST];
    let words = words(name, &mut buffer);
    let glued = without_marks(words, &mut glued_buffer);
    match words {
        "authorization" | "proxy_authorization" | "http_authorization" => return Name::Authorization,
        "cookie" | "set_cookie" | "http_cookie" => return Name::Cookie,
        "key" | "code" => return Name::Query,
        _ => {}
    }
    let (before, last) = words.rsplit_once('_').unwrap_or(("", words));
    let previous = before.rsplit('_').next().unwrap_or_default();
    if STRONG.contains(&last) || ENDS.iter().any(|end| ends_with_word(words, end)) {
        return Name::Strong;
    }
    if ALWAYS_WEAK.contains(&last) {
        return Name::Weak;
    }
    if WEAK.contains(&last) {
        return match previous {
            "" => Name::Weak,
            counted if COUNTED.contains(&counted) && last == "token" => Name::Other,
            _ => Name::Strong,
        };
    }
    let is_key = matches!(last, "key" | "keys") && KEYS.contains(&previous);
    if is_key || GLUED.iter().any(|end| glued.ends_with(end)) { Name::Strong } else { Name::Other }
}

fn ends_with_word(words: &str, end: &str) -> bool {
    words.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('_'))
}

/// `name` in small letters, its words joined by `_`, without digits at its end.
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
        for name in [
            "password",
            "PASSWORD",
            "DB_PASSWORD",
            "dbPassword",
            "dbpassword",
            "PASSWORD2",
            "passwd",
            "pwd",
            "MYSQL_PWD",
            "api_key",
            "apikey",
            "apiKey",
            "APIKey",
            "API-KEY",
            "X-Api-Key",
            "x_api_key",
            "OPENAI_API_KEY",
            "access_token",
            "accessToken",
            "AccessToken",
            "ACCESSTOKEN",
            "refresh_token",
            "id_token",
            "GITHUB_TOKEN",
            "client_secret",
            "clientSecret",
            "AWS_SECRET_ACCESS_KEY",
            "aws_access_key_id",
            "AccountKey",
            "SharedAccessKey",
            "X-Amz-Security-Token",
            "X-Vault-Token",
            "PRIVATE-TOKEN",
            "_authToken",
            "npm_config__auth",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "secret_key_base",
            "code_verifier",
            "private_key",
            "JSESSIONID",
        ] {
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
        for name in [
            "",
            "_",
            "-",
            "7",
            "author",
            "authority",
            "authors",
            "tokens",
            "max_tokens",
            "max_token",
            "tokenizer",
            "token_count",
            "token_type",
            "keyboard",
            "primary_key",
            "publicKey",
            "foreign_key",
            "cache-key",
            "sort_key",
            "password_length",
            "compass",
            "bypass",
            "secretary",
            "passive",
            "designature",
            "monkey",
            "path",
            "session",
            "auth_method",
            "token-file",
            "password-stdin",
            "signal",
            "cookie_policy",
            "keys",
        ] {
            assert_eq!(classify(name.as_bytes()), Name::Other, "{name}");
        }
    }

    #[test]
    fn of_a_name_of_any_length_the_end_counts() {
        let long = format!("{}_password", "Ab".repeat(5000));
        assert_eq!(classify(long.as_bytes()), Name::Strong);
        assert_eq!(classify("Ab".repeat(5000).as_bytes()), Name::Other);
    }
}
