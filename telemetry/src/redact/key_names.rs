//! Names of credentials: `password`, `X-Api-Key`, `clientSecret`, `MY_ACCESS_TOKEN`.

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
    /// A credential when it is in the query of a URL and looks like a secret.
    Query,
}

/// The greatest length of a name. Of a longer name, only the end is examined.
const LONGEST: usize = 64;

/// Last words of names of credentials.
const STRONG: &str = "password passwd passwords passphrase passcode pwd apikey apitoken privatekey";

/// Last words of names of credentials. A name of this word alone may be an ordinary word.
const WEAK: &str = "token secret secrets auth oauth pass credential credentials creds cred jwt bearer otp \
    sas";

/// Last words that have an ordinary meaning also in longer names.
const ALWAYS_WEAK: &str = "sig signature";

/// Words before `key` that make it a secret. A primary, public, cache or sort key is no secret.
const KEYS: &str = "api apis access secret private priv auth account encryption signing master shared \
    storage subscription service app application client webhook integration admin consumer deploy \
    functions license instrumentation";

/// Words before `token` that make it a number of tokens.
const COUNTED: &str = "max min num total n prompt completion unexpected";

/// Ends of names of credentials, in whole words.
const ENDS: &str = "access_key_id secret_key_base auth_code authorization_code code_verifier \
    client_assertion password_hash password_digest saml_response connection_string";

/// Ends of names of credentials without a mark between the words.
const GLUED: &str = "password passwd passphrase apikey apitoken apisecret appsecret appkey accesstoken \
    authtoken refreshtoken idtoken sessiontoken bearertoken clientsecret secretkey secretaccesskey \
    accesskey accesskeyid accountkey privatekey dbpass jsessionid phpsessid";

/// Whole names.
const WHOLE: &str = "authorization proxy_authorization http_authorization cookie set_cookie http_cookie \
    key code";

/// For each small letter, a bit for each letter that comes before it at the end of a listed name.
const LAST_TWO: [u32; 26] = {
    const fn add(mut pairs: [u32; 26], names: &str) -> [u32; 26] {
        let names = names.as_bytes();
        let mut at = 1;
        while at < names.len() {
            if at + 1 == names.len() || names[at + 1] == b' ' {
                pairs[(names[at] - b'a') as usize] |= 1 << (names[at - 1] - b'a');
            }
            at += 1;
        }
        pairs
    }
    let pairs = add(add(add([0; 26], STRONG), WEAK), ALWAYS_WEAK);
    add(add(add(add(pairs, ENDS), GLUED), WHOLE), "key keys")
};

/// Whether `name` ends in two letters that end a listed name. Most names do not.
fn may_be_listed(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.to_ascii_lowercase() - b'a';
    let listed = |before, last| LAST_TWO[usize::from(letter(last))] & (1 << letter(before)) != 0;
    if let [.., before, last] = name
        && before.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
    {
        return listed(before, last);
    }
    // `words` removes digits at the end, and `without_marks` removes marks.
    let mut bytes = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
    let Some(last) = bytes.find(|byte| byte.is_ascii_alphabetic()) else { return false };
    let Some(before) = bytes.next().filter(|byte| byte.is_ascii_alphabetic()) else { return false };
    listed(before, last)
}

/// The meaning of `name` in any spelling. A word ends at `_`, `-`, `.`, and before a capital letter.
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
    if is_in(STRONG, last) || ENDS.split(' ').any(|end| ends_with_word(words, end)) {
        return Name::Strong;
    }
    if is_in(ALWAYS_WEAK, last) {
        return Name::Weak;
    }
    if is_in(WEAK, last) {
        return match previous {
            "" => Name::Weak,
            counted if is_in(COUNTED, counted) && last == "token" => Name::Other,
            _ => Name::Strong,
        };
    }
    let is_key = matches!(last, "key" | "keys") && is_in(KEYS, previous);
    if is_key || GLUED.split(' ').any(|end| glued.ends_with(end)) { Name::Strong } else { Name::Other }
}

/// Whether `word` is one of `words`, which blanks separate.
fn is_in(words: &str, word: &str) -> bool {
    words.split(' ').any(|listed| listed == word)
}

fn ends_with_word(words: &str, end: &str) -> bool {
    words.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('_'))
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
