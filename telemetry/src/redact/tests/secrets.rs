//! Secrets of the shapes that providers give them. All are invented, and put together here so that no scanner of
//! repositories takes this file for a leak.

use crate::redact::bytes::REDACTED;

/// `len` characters of `alphabet` that look random, the same each time.
fn noise(seed: u64, len: usize, alphabet: &str) -> String {
    let alphabet = alphabet.as_bytes();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        alphabet[(state >> 33) as usize % alphabet.len()] as char
    };
    (0..len).map(|_| next()).collect()
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &str = "0123456789abcdef";
const URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn all() -> Vec<(&'static str, String)> {
    // Provider, prefix in two halves, and what follows.
    let prefixed: [(&str, &str, &str, usize, &str); 82] = [
        ("OpenAI", "s", "k-", 48, ALNUM),
        ("OpenAI project", "sk-", "proj-", 74, URL),
        ("OpenAI service account", "sk-", "svcacct-", 58, URL),
        ("Anthropic", "sk-", "ant-api03-", 95, URL),
        ("OpenRouter", "sk-", "or-v1-", 64, HEX),
        ("Groq", "gs", "k_", 52, ALNUM),
        ("xAI", "xa", "i-", 80, ALNUM),
        ("Replicate", "r", "8_", 37, ALNUM),
        ("Perplexity", "pp", "lx-", 48, ALNUM),
        ("Hugging Face", "h", "f_", 34, ALNUM),
        ("LangSmith", "lsv2", "_pt_", 43, HEX),
        ("GitHub personal", "gh", "p_", 36, ALNUM),
        ("GitHub OAuth", "gh", "o_", 36, ALNUM),
        ("GitHub user", "gh", "u_", 36, ALNUM),
        ("GitHub server", "gh", "s_", 36, ALNUM),
        ("GitHub refresh", "gh", "r_", 76, ALNUM),
        ("GitHub fine-grained", "github", "_pat_", 82, ALNUM),
        ("GitLab personal", "gl", "pat-", 20, URL),
        ("GitLab deploy", "gl", "dt-", 20, URL),
        ("GitLab runner", "gl", "rt-", 20, URL),
        ("GitLab trigger", "gl", "ptt-", 40, HEX),
        ("Google API", "AI", "za", 35, URL),
        ("Google OAuth", "ya", "29.", 60, URL),
        ("Google client secret", "GOC", "SPX-", 28, URL),
        ("Google refresh", "1/", "/0", 60, URL),
        ("AWS access key", "AK", "IA", 16, UPPER),
        ("AWS temporary key", "AS", "IA", 16, "ABCDEFGHIJKLMNOP234567"),
        ("AWS Bedrock", "AB", "SK", 128, ALNUM),
        ("Alibaba", "LT", "AI5t", 20, ALNUM),
        ("Tencent", "AK", "ID", 32, ALNUM),
        ("Slack bot", "xo", "xb-123456789012-1234567890123-", 24, ALNUM),
        ("Slack user", "xo", "xp-123456789012-1234567890123-", 32, HEX),
        ("Slack app", "xa", "pp-1-A012ABCDEFG-1234567890123-", 64, HEX),
        ("Slack refresh", "xo", "xe-1-", 147, ALNUM),
        ("Stripe live", "sk_", "live_", 24, ALNUM),
        ("Stripe test", "sk_", "test_", 99, ALNUM),
        ("Stripe restricted", "rk_", "live_", 24, ALNUM),
        ("Stripe webhook", "wh", "sec_", 32, ALNUM),
        ("Twilio", "S", "K", 32, HEX),
        ("npm", "np", "m_", 36, ALNUM),
        ("PyPI", "py", "pi-AgEIcHlwaS5vcmc", 150, URL),
        ("crates.io", "ci", "o", 32, ALNUM),
        ("NuGet", "oy", "2", 43, LOWER),
        ("RubyGems", "ruby", "gems_", 48, HEX),
        ("Docker Hub", "dckr", "_pat_", 27, URL),
        ("DigitalOcean", "dop", "_v1_", 64, HEX),
        ("Databricks", "da", "pi", 32, HEX),
        ("Shopify", "shp", "at_", 32, HEX),
        ("Shopify shared secret", "shp", "ss_", 32, HEX),
        ("Square access", "sq0", "atp-", 22, URL),
        ("Square secret", "sq0", "csp-", 43, URL),
        ("Mailgun", "ke", "y-", 32, HEX),
        ("age", "AGE-SECRET-", "KEY-1", 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        ("Vault service", "hv", "s.", 95, ALNUM),
        ("Vault batch", "hv", "b.", 140, ALNUM),
        ("Doppler", "dp", ".pt.", 43, ALNUM),
        ("Linear", "lin", "_api_", 40, ALNUM),
        ("Notion", "secr", "et_", 43, ALNUM),
        ("Notion new", "nt", "n_", 46, ALNUM),
        ("New Relic user", "NR", "AK-", 27, UPPER),
        ("New Relic browser", "NR", "JS-", 19, HEX),
        ("Sentry user", "sntr", "yu_", 64, HEX),
        ("Grafana", "gl", "sa_", 41, ALNUM),
        ("Postman", "PM", "AK-", 59, HEX),
        ("Pulumi", "pu", "l-", 40, HEX),
        ("Supabase", "sb", "p_", 40, HEX),
        ("Netlify", "nf", "p_", 36, ALNUM),
        ("PlanetScale", "pscale", "_tkn_", 43, URL),
        ("Figma", "fi", "gd_", 40, URL),
        ("Fly.io", "fm", "2_", 150, ALNUM),
        ("Tailscale", "tsk", "ey-auth-k1", 40, ALNUM),
        ("Heroku", "HR", "KU-AA", 58, URL),
        ("Atlassian", "ATA", "TT3xFfGF0", 180, URL),
        ("Brevo", "xkey", "sib-", 64, HEX),
        ("Typeform", "tf", "p_", 59, URL),
        ("Contentful", "CF", "PAT-", 43, URL),
        ("CircleCI", "CCI", "PAT_", 63, URL),
        ("Adafruit", "ai", "o_", 28, ALNUM),
        ("Buildkite", "bk", "ua_", 40, HEX),
        ("Duffel", "duffel", "_live_", 43, URL),
        ("Dynatrace", "dt0", "c01.ST2EY72KQINMH574WMNVI7YN.", 64, UPPER),
        ("ReadMe", "rd", "me_", 70, LOWER),
    ];
    let mut all: Vec<(&'static str, String)> = prefixed
        .iter()
        .zip(1..)
        .map(|((provider, first, second, len, alphabet), seed)| {
            (*provider, format!("{first}{second}{}", noise(seed, *len, alphabet)))
        })
        .collect();
    let n = noise;
    let shaped = [
        ("SendGrid", format!("S{}.{}.{}", "G", n(101, 22, ALNUM), n(102, 43, ALNUM))),
        ("JSON web token", format!("ey{}.ey{}.{}", n(103, 34, ALNUM), n(104, 60, ALNUM), n(105, 43, URL))),
        (
            "encrypted JSON web token",
            format!("ey{}..{}.{}.{}", n(106, 40, ALNUM), n(107, 16, URL), n(108, 90, URL), n(109, 22, URL)),
        ),
        ("Telegram", format!("{}:AA{}", "123456789", n(110, 33, ALNUM))),
        ("Discord", format!("MT{}.{}.{}", n(111, 22, ALNUM), n(112, 6, ALNUM), n(113, 38, ALNUM))),
        ("Terraform Cloud", format!("{}.atlas{}.{}", n(114, 14, ALNUM), "v1", n(115, 67, ALNUM))),
        ("Azure client secret", format!("{}8Q~{}", n(116, 3, ALNUM), n(117, 34, ALNUM))),
        ("Mailchimp", format!("{}-u{}", n(118, 32, HEX), "s12")),
        ("New Relic licence", format!("{}NR{}", n(119, 36, HEX), "AL")),
        ("AWS secret key", n(120, 40, ALNUM)),
        (
            "AWS secret key with slashes",
            format!("{}/{}/{}", n(121, 13, ALNUM), n(122, 8, ALNUM), n(123, 17, ALNUM)),
        ),
        ("unknown, base64url", n(124, 43, URL)),
        ("unknown, base36", n(125, 50, LOWER)),
        ("Mapbox", format!("s{}.ey{}.{}", "k", n(126, 60, ALNUM), n(127, 22, ALNUM))),
        ("Square, long", format!("EA{}{}", "AA", n(128, 60, URL))),
    ];
    all.extend(shaped);
    // `ey` needs its third letter to be the beginning of encoded JSON.
    for (provider, secret) in &mut all {
        if provider.contains("web token") || *provider == "Mapbox" {
            *secret = secret.replace("ey", "eyJ");
        }
    }
    all
}

/// `secret` in the company in which it comes.
pub(super) fn carriers(secret: &str) -> Vec<(&'static str, String)> {
    vec![
        ("alone", secret.to_owned()),
        ("in a sentence", format!("The key {secret} was refused, try another.")),
        ("at a sentence's end", format!("refused: {secret}.")),
        ("in a path", format!("https://api.example.com/v1/{secret}/items")),
        ("in a query", format!("https://api.example.com/v1?page=2&k={secret}&limit=3")),
        ("in a fragment", format!("https://app.example.com/#k={secret}")),
        ("in JSON", format!("{{\"user\":\"me\",\"value\":\"{secret}\",\"n\":1}}")),
        ("in escaped JSON", format!("{{\\\"value\\\":\\\"{secret}\\\",\\\"n\\\":1}}")),
        ("behind an escaped line feed", format!("one\\n{secret}\\ntwo")),
        ("as a flag", format!("tool --setting={secret} run")),
        ("in double quotes", format!("got \"{secret}\" instead")),
        ("in single quotes", format!("got '{secret}' instead")),
        ("in backticks", format!("got `{secret}` instead")),
        ("in parentheses", format!("refused ({secret})")),
        ("in a list", format!("a,{secret},b")),
        ("in a variable", format!("export SETTING={secret}")),
        ("coloured", format!("\u{1b}[31m{secret}\u{1b}[0m")),
        ("beside other scripts", format!("鍵は{secret}です")),
        ("as a bearer", format!("Authorization: Bearer {secret}")),
        ("on a line of its own", format!("first\r\n{secret}\r\nlast\n")),
    ]
}

/// Secrets that look like nothing, and what becomes of the text that announces them.
#[rustfmt::skip]
pub(super) fn announced() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for name in [
        "apikey", "api_key", "api-key", "token", "access_token", "refresh_token", "id_token", "client_secret", "password",
        "passwd", "pwd", "secret", "sig", "signature", "auth", "x-api-key", "DB_PASSWORD", "ACCESS_TOKEN", "clientSecret",
    ] {
        for (before, after) in [
            ("?a=1&", "&b=2"), ("https://h/p?", "&b=2"), ("--", " run"), ("", ""), ("", "\nnext"), ("x ", ", y=1"),
        ] {
            all.push((format!("{before}{name}=hunter2{after}"), format!("{before}{name}={REDACTED}{after}")));
        }
        all.push((format!("{name}: hunter2"), format!("{name}: {REDACTED}")));
        all.push((format!("tool --{name} hunter2 run"), format!("tool --{name} {REDACTED} run")));
        all.push((format!("{{\"{name}\":\"hun ter\\\"2\",\"b\":1}}"), format!("{{\"{name}\":\"{REDACTED}\",\"b\":1}}")));
        all.push((format!("{{\\\"{name}\\\": \\\"hunter2\\\", 1}}"), format!("{{\\\"{name}\\\": \\\"{REDACTED}\\\", 1}}")));
        all.push((format!("[\"--{name}\", \"hunter2\", \"run\"]"), format!("[\"--{name}\", \"{REDACTED}\", \"run\"]")));
        all.push((format!("u%3F{name}%3Dhunter2%26b%3D2"), format!("u%3F{name}%3D{REDACTED}%26b%3D2")));
        all.push((format!("<{name}>hunter2</{name}>"), format!("<{name}>{REDACTED}</{name}>")));
        all.push((format!("c[{name}]=hunter2&b=2"), format!("c[{name}]={REDACTED}&b=2")));
        all.push((format!("{name} = 'hunter 2'  # x"), format!("{name} = '{REDACTED}'  # x")));
    }
    for (text, expected) in [
        ("https://user:pa%20ss@host:8080/p?q#f", "https://[redacted]@host:8080/p?q#f"),
        ("https://user@host/", "https://[redacted]@host/"),
        ("postgres://u:p@ss@db/x", "postgres://[redacted]@db/x"),
        ("postgres://u:p/w#d@db:5432/x", "postgres://[redacted]@db:5432/x"),
        ("mongodb+srv://u:p@c.example.net/?w=1", "mongodb+srv://[redacted]@c.example.net/?w=1"),
        ("redis://:hunter2@cache:6379/0", "redis://[redacted]@cache:6379/0"),
        ("amqp://guest:guest@localhost:5672/%2f", "amqp://[redacted]@localhost:5672/%2f"),
        ("cloning 'https://x-access-token:t@github.com/a/b'", "cloning 'https://[redacted]@github.com/a/b'"),
        ("u=https%3A%2F%2Fme%3Apw%40host%2F", "u=https%3A%2F%2F[redacted]%40host%2F"),
        ("https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2", "https://[redacted]@o1.ingest.sentry.io/2"),
        ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
        ("authorization: bearer abc\r\nHost: h", "authorization: bearer [redacted]\r\nHost: h"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("Proxy-Authorization: Basic dXNlcjpwYXNz and so on", "Proxy-Authorization: Basic [redacted] and so on"),
        ("Authorization: Digest username=\"Mufasa\", response=\"6629\"", "Authorization: Digest [redacted]"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/2/us/s3, Signature=fe", "Authorization: AWS4-HMAC-SHA256 [redacted]"),
        ("Authorization: hunter2", "Authorization: [redacted]"),
        ("curl -H 'Authorization: Bearer abc' https://h", "curl -H 'Authorization: Bearer [redacted]' https://h"),
        ("curl -H \"X-Api-Key: abc\" https://h", "curl -H \"X-Api-Key: [redacted]\" https://h"),
        ("{\"Authorization\":\"Bearer abc\",\"b\":1}", "{\"Authorization\":\"Bearer [redacted]\",\"b\":1}"),
        ("{\"authorization\": \"abc def\", \"b\":1}", "{\"authorization\": \"[redacted]\", \"b\":1}"),
        ("Cookie: a=b; c=d\nHost: h", "Cookie: [redacted]\nHost: h"),
        ("Set-Cookie: s=1; Path=/; HttpOnly", "Set-Cookie: [redacted]"),
        ("curl -H 'Cookie: a=b' https://h", "curl -H 'Cookie: [redacted]' https://h"),
        ("got Bearer abc12345 back", "got Bearer [redacted] back"),
        ("got Basic dXNlcjpwYXNzd29yZA== back", "got Basic [redacted] back"),
        ("curl -u me:pw https://h", "curl -u [redacted] https://h"),
        ("curl --user me:pw https://h", "curl --user [redacted] https://h"),
        ("Server=db;User Id=sa;Password=p,w;Encrypt=true", "Server=db;User Id=sa;Password=[redacted];Encrypt=true"),
        ("AccountName=a;AccountKey=Zm9v+/==;EndpointSuffix=core", "AccountName=a;AccountKey=[redacted];EndpointSuffix=core"),
        ("https://a.blob.core.windows.net/c?sv=2022&sig=a%2Bb%3D&se=1", "https://a.blob.core.windows.net/c?sv=2022&sig=[redacted]&se=1"),
        ("?X-Amz-Credential=c&X-Amz-Signature=ab12&x=1", "?X-Amz-Credential=[redacted]&X-Amz-Signature=[redacted]&x=1"),
        ("AWS_SECRET_ACCESS_KEY=abc AWS_REGION=eu", "AWS_SECRET_ACCESS_KEY=[redacted] AWS_REGION=eu"),
        ("HEROKU_API_KEY=01234567-89ab-cdef-0123-456789abcdef", "HEROKU_API_KEY=[redacted]"),
        ("DD_API_KEY: 0123456789abcdef0123456789abcdef", "DD_API_KEY: [redacted]"),
        ("[{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2\"}]", "[{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"}]"),
        ("//registry.npmjs.org/:_authToken=hunter2", "//registry.npmjs.org/:_authToken=[redacted]"),
        ("'password' => 'hunter2',", "'password' => '[redacted]',"),
        ("invalid token: abc123", "invalid token: [redacted]"),
        ("wrong password: swordfish", "wrong password: [redacted]"),
        ("one\\u0026token=abc", "one\\u0026token=[redacted]"),
        ("a\\ttoken=abc", "a\\ttoken=[redacted]"),
        ("https://hooks.slack.com/services/T00/B00/XXXX ok", "https://hooks.slack.com/services/[redacted] ok"),
        ("https://discord.com/api/webhooks/123/ab-c", "https://discord.com/api/webhooks/[redacted]"),
        ("https://maps/api?key=abcdefgh12345678ij&x", "https://maps/api?key=[redacted]"),
        ("got Bearer\tabc12345 back", "got Bearer\t[redacted] back"),
        ("Authorization:\tBearer\tabc", "Authorization:\tBearer\t[redacted]"),
        ("got ApiKey abc12345 back", "got ApiKey [redacted] back"),
        ("ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6 was refused", "ApiKey [redacted] was refused"),
        ("login with TOKEN swordfish-12345678x failed", "login with TOKEN [redacted] failed"),
        ("passwd hunter2hunter", "passwd [redacted]"),
        ("the password hunter2x!, which", "the password [redacted], which"),
        ("my passphrase is \"correct horse\" now", "my passphrase is \"[redacted]\" now"),
        ("password was 'swordfish'", "password was '[redacted]'"),
        ("the token is \"swordfish1\"", "the token is \"[redacted]\""),
        ("password is hunter2x", "password is [redacted]"),
        ("sshpass -p swordfish ssh me@host", "sshpass -p [redacted] ssh me@host"),
        ("sshpass -p 'two words' ssh me@host", "sshpass -p '[redacted]' ssh me@host"),
        ("sshpass -pswordfish ssh me@host", "sshpass -p[redacted] ssh me@host"),
        ("mysql -u root -pswordfish db", "mysql -u root -p[redacted] db"),
        ("/usr/bin/mysqldump -h db -p'sword fish' x", "/usr/bin/mysqldump -h db -p'[redacted]' x"),
        ("got \"password = two words\" here", "got \"password = [redacted]\" here"),
        ("{\"line\": \"\\\"password = two words\\\"\", \"n\": 1}", "{\"line\": \"\\\"password = [redacted]\\\"\", \"n\": 1}"),
        ("'password = abc host=db'", "'password = [redacted] host=db'"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY refused", "key [redacted] refused"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[redacted]"),
    ] {
        all.push((text.to_owned(), expected.to_owned()));
    }
    for kind in ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA ", ""] {
        let block = |line: &str| format!("-----BEGIN {kind}{0}-----{line}MIIEow{line}-----END {kind}{0}-----", "PRIVATE KEY");
        all.push((format!("a\n{}\nb", block("\n")), format!("a\n{REDACTED}\nb")));
        all.push((format!("{{\"k\":\"{}\\n\",\"b\":1}}", block("\\n")), format!("{{\"k\":\"{REDACTED}\\n\",\"b\":1}}")));
    }
    let cut = format!("a -----BEGIN {}-----\nMIIEow", "PRIVATE KEY");
    all.push((cut, format!("a {REDACTED}")));
    // The body of a key whose first and last line are missing, also as JSON has it.
    let body: Vec<String> = (0..12).map(|line| noise(200 + line, 64, BASE64)).collect();
    for feed in ["\n", "\r\n", "\\n"] {
        let lines = body.join(feed);
        all.push((format!("key:{feed}{lines}{feed}q2X3{feed}done"), format!("key:{feed}{REDACTED}{feed}done")));
        all.push((format!("key:{feed}{lines}{feed}abcdefg={feed}"), format!("key:{feed}{REDACTED}{feed}")));
    }
    let pgp = format!("-----BEGIN PGP {0}-----\nx\n-----END PGP {0}-----\nb", "PRIVATE KEY BLOCK");
    all.push((pgp, format!("{REDACTED}\nb")));
    all
}
