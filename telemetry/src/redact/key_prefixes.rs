//! Keys that are recognised by the form that their provider gives them.

use crate::redact::bytes::{is_word, run, run_within, starts, starts_any_case};

/// The characters of a key behind its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Word,
    /// Letters, digits, `_`, `-` and `.`.
    Dotted,
    /// Letters, digits, `_`, `-`, `.`, `+`, `/`, `=`, `$`, `~` and `%`.
    Base64,
    /// Capitals and digits.
    Upper,
    /// Hexadecimal digits, of an exact number.
    Hex,
}

/// Prefix, following characters, their least number, and whether one of them must be a digit because the prefix is also
/// a word.
type Shape = (&'static str, Rest, usize, bool);

/// Sorted by the first byte.
const SHAPES: &[Shape] = &[
    ("1//0", Rest::Word, 20, true),               // Google refresh token
    ("A3-", Rest::Word, 28, true),                // 1Password secret key
    ("ABIA", Rest::Upper, 12, true),              // AWS
    ("ABSK", Rest::Base64, 40, true),             // AWS Bedrock
    ("ACCA", Rest::Upper, 16, true),              // AWS
    ("AGE-SECRET-KEY-1", Rest::Upper, 20, false), // age
    ("AIza", Rest::Word, 24, false),              // Google API
    ("AKCp", Rest::Alnum, 40, true),              // Artifactory
    ("AKIA", Rest::Upper, 12, false),             // AWS
    ("AKID", Rest::Alnum, 28, true),              // Tencent
    ("ASIA", Rest::Upper, 12, true),              // AWS, temporary
    ("ATATT3", Rest::Base64, 24, false),          // Atlassian
    ("ATBB", Rest::Alnum, 24, true),              // Bitbucket
    ("ATCTT3", Rest::Base64, 24, false),          // Atlassian
    ("CCIPAT_", Rest::Word, 20, false),           // CircleCI
    ("CCIPRJ_", Rest::Word, 20, false),           // CircleCI
    ("CFPAT-", Rest::Word, 30, false),            // Contentful
    ("CLOJARS_", Rest::Alnum, 30, false),         // Clojars
    ("EAAA", Rest::Word, 40, true),               // Square, Facebook
    ("EZAK", Rest::Alnum, 40, true),              // EasyPost
    ("EZTK", Rest::Alnum, 40, true),              // EasyPost, test
    ("GOCSPX-", Rest::Word, 20, false),           // Google OAuth client
    ("GR1348941", Rest::Word, 16, false),         // GitLab runner
    ("HRKU-", Rest::Word, 20, true),              // Heroku
    ("LTAI", Rest::Alnum, 16, true),              // Alibaba
    ("NRAK-", Rest::Alnum, 20, false),            // New Relic
    ("NRII-", Rest::Word, 20, false),             // New Relic
    ("NRJS-", Rest::Alnum, 16, false),            // New Relic
    ("NRRA-", Rest::Alnum, 20, false),            // New Relic
    ("PMAK-", Rest::Word, 24, false),             // Postman
    ("SG.", Rest::Dotted, 30, true),              // SendGrid
    ("SK", Rest::Hex, 32, false),                 // Twilio
    ("aio_", Rest::Alnum, 24, true),              // Adafruit
    ("bkua_", Rest::Alnum, 30, false),            // Buildkite
    ("cfut_", Rest::Word, 30, false),             // Cloudflare
    ("cio", Rest::Alnum, 32, true),               // crates.io
    ("dapi", Rest::Hex, 32, false),               // Databricks
    ("dckr_oat_", Rest::Word, 20, false),         // Docker
    ("dckr_pat_", Rest::Word, 20, false),         // Docker
    ("doo_v1_", Rest::Alnum, 40, false),          // DigitalOcean
    ("dop_v1_", Rest::Alnum, 40, false),          // DigitalOcean
    ("dor_v1_", Rest::Alnum, 40, false),          // DigitalOcean
    ("dp.", Rest::Dotted, 40, true),              // Doppler
    ("dt0c01.", Rest::Dotted, 40, false),         // Dynatrace
    ("duffel_live_", Rest::Base64, 30, false),    // Duffel
    ("duffel_test_", Rest::Base64, 30, false),    // Duffel
    ("eyJ", Rest::Dotted, 17, false),             // JSON web tokens, encoded JSON
    ("figd_", Rest::Word, 30, false),             // Figma
    ("fio-u-", Rest::Word, 40, false),            // Frame.io
    ("fm1_", Rest::Base64, 40, false),            // Fly.io
    ("fm2_", Rest::Base64, 40, false),            // Fly.io
    ("fo1_", Rest::Word, 30, false),              // Fly.io
    ("gho_", Rest::Alnum, 16, false),             // GitHub
    ("ghp_", Rest::Alnum, 16, false),             // GitHub
    ("ghr_", Rest::Alnum, 16, false),             // GitHub
    ("ghs_", Rest::Alnum, 16, false),             // GitHub
    ("ghu_", Rest::Alnum, 16, false),             // GitHub
    ("github_pat_", Rest::Word, 16, false),       // GitHub
    ("glagent-", Rest::Word, 20, false),          // GitLab
    ("glc_", Rest::Base64, 32, true),             // Grafana Cloud
    ("glcbt-", Rest::Word, 20, false),            // GitLab
    ("gldt-", Rest::Word, 16, false),             // GitLab
    ("glft-", Rest::Word, 16, false),             // GitLab
    ("glimt-", Rest::Word, 20, false),            // GitLab
    ("gloas-", Rest::Word, 20, false),            // GitLab
    ("glpat-", Rest::Dotted, 16, false),          // GitLab
    ("glptt-", Rest::Word, 20, false),            // GitLab
    ("glrt-", Rest::Dotted, 16, false),           // GitLab
    ("glsa_", Rest::Word, 30, false),             // Grafana
    ("glsoat-", Rest::Word, 16, false),           // GitLab
    ("gsk_", Rest::Alnum, 30, false),             // Groq
    ("hf_", Rest::Alnum, 24, false),              // Hugging Face
    ("hvb.", Rest::Word, 24, false),              // Vault
    ("hvr.", Rest::Word, 24, false),              // Vault
    ("hvs.", Rest::Word, 24, false),              // Vault
    ("key-", Rest::Hex, 32, false),               // Mailgun
    ("lin_api_", Rest::Alnum, 24, false),         // Linear
    ("lin_oauth_", Rest::Alnum, 24, false),       // Linear
    ("lsv2_", Rest::Word, 32, false),             // LangSmith
    ("nfp_", Rest::Alnum, 30, false),             // Netlify
    ("npm_", Rest::Alnum, 30, false),             // npm
    ("ntn_", Rest::Alnum, 30, false),             // Notion
    ("ops_", Rest::Base64, 60, true),             // 1Password
    ("oy2", Rest::Alnum, 43, true),               // NuGet
    ("pat-eu1-", Rest::Word, 30, true),           // HubSpot
    ("pat-na1-", Rest::Word, 30, true),           // HubSpot
    ("pnu_", Rest::Alnum, 36, false),             // Prefect
    ("pplx-", Rest::Alnum, 30, true),             // Perplexity
    ("pscale_oauth_", Rest::Dotted, 30, false),   // PlanetScale
    ("pscale_pw_", Rest::Dotted, 30, false),      // PlanetScale
    ("pscale_tkn_", Rest::Dotted, 30, false),     // PlanetScale
    ("pul-", Rest::Hex, 40, false),               // Pulumi
    ("pypi-", Rest::Word, 40, true),              // PyPI
    ("r8_", Rest::Alnum, 30, true),               // Replicate
    ("rdme_", Rest::Alnum, 60, false),            // ReadMe
    ("rk_live_", Rest::Alnum, 16, false),         // Stripe
    ("rk_test_", Rest::Alnum, 16, false),         // Stripe
    ("rubygems_", Rest::Hex, 48, false),          // RubyGems
    ("sb_secret_", Rest::Word, 20, false),        // Supabase
    ("sbp_", Rest::Hex, 40, false),               // Supabase
    ("secret_", Rest::Alnum, 40, true),           // Notion
    ("sgp_", Rest::Word, 40, true),               // Sourcegraph
    ("shpat_", Rest::Alnum, 24, false),           // Shopify
    ("shpca_", Rest::Alnum, 24, false),           // Shopify
    ("shppa_", Rest::Alnum, 24, false),           // Shopify
    ("shpss_", Rest::Alnum, 24, false),           // Shopify
    ("shippo_live_", Rest::Alnum, 30, false),     // Shippo
    ("shippo_test_", Rest::Alnum, 30, false),     // Shippo
    ("sk-", Rest::Alnum, 16, true),               // OpenAI, DeepSeek and others
    ("sk-admin-", Rest::Word, 16, true),          // OpenAI
    ("sk-ant-", Rest::Word, 16, true),            // Anthropic
    ("sk-lf-", Rest::Word, 24, true),             // Langfuse
    ("sk-or-", Rest::Word, 16, true),             // OpenRouter
    ("sk-proj-", Rest::Word, 16, true),           // OpenAI
    ("sk-svcacct-", Rest::Word, 16, true),        // OpenAI
    ("sk.eyJ", Rest::Dotted, 20, false),          // Mapbox
    ("sk_live_", Rest::Alnum, 16, false),         // Stripe
    ("sk_test_", Rest::Alnum, 16, false),         // Stripe
    ("sntrys_", Rest::Base64, 30, false),         // Sentry
    ("sntryu_", Rest::Alnum, 30, false),          // Sentry
    ("sq0atp-", Rest::Word, 20, false),           // Square
    ("sq0csp-", Rest::Word, 20, false),           // Square
    ("tfp_", Rest::Base64, 40, true),             // Typeform
    ("tskey-", Rest::Word, 20, true),             // Tailscale
    ("tvly-", Rest::Word, 24, true),              // Tavily
    ("vcp_", Rest::Alnum, 24, true),              // Vercel
    ("whsec_", Rest::Base64, 24, false),          // Stripe webhook
    ("xai-", Rest::Alnum, 40, true),              // xAI
    ("xapp-", Rest::Word, 16, true),              // Slack
    ("xkeysib-", Rest::Word, 40, true),           // Brevo
    ("xoxa-", Rest::Word, 10, true),              // Slack
    ("xoxb-", Rest::Word, 10, true),              // Slack
    ("xoxc-", Rest::Word, 10, true),              // Slack
    ("xoxd-", Rest::Base64, 10, true),            // Slack
    ("xoxe-", Rest::Word, 10, true),              // Slack
    ("xoxe.", Rest::Dotted, 10, true),            // Slack
    ("xoxo-", Rest::Word, 10, true),              // Slack
    ("xoxp-", Rest::Word, 10, true),              // Slack
    ("xoxr-", Rest::Word, 10, true),              // Slack
    ("xoxs-", Rest::Word, 10, true),              // Slack
    ("xsmtpsib-", Rest::Word, 40, true),          // Brevo
    ("ya29.", Rest::Word, 16, false),             // Google OAuth
];

/// The range of shapes for each first byte.
const BY_FIRST: [(u8, u8); 128] = {
    let mut index = [(0, 0); 128];
    let mut at = 0;
    while at < SHAPES.len() {
        let first = SHAPES[at].0.as_bytes()[0] as usize;
        if index[first].1 == 0 {
            index[first].0 = at as u8;
        }
        index[first].1 = at as u8 + 1;
        at += 1;
    }
    index
};

/// URLs whose path is the secret.
const HOOKS: [&str; 6] = [
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "hooks.slack.com/triggers/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "webhook.office.com/webhookb2/",
];

/// The number of following characters that are searched for a digit.
const SEARCHED: usize = 64;

impl Rest {
    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => is_word(byte),
            Self::Dotted => is_word(byte) || byte == b'.',
            Self::Base64 => is_word(byte) || matches!(byte, b'.' | b'+' | b'/' | b'=' | b'$' | b'~' | b'%'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// The length of the shortest key.
pub(super) const SHORTEST: usize = 14;

/// Whether a key may begin at `at`. Most words are too short.
pub(super) fn is_long_enough(text: &[u8], at: usize) -> bool {
    let possible = |byte| Rest::Base64.takes(byte) || byte == b':';
    run_within(text, at, SHORTEST, possible) == at + SHORTEST
}

/// The end of the key that begins at `at`, the beginning of a word or of a part of a word.
pub(super) fn prefixed(text: &[u8], at: usize) -> Option<usize> {
    let (first, last) = *BY_FIRST.get(usize::from(text[at]))?;
    let shapes = &SHAPES[usize::from(first)..usize::from(last)];
    let end = shapes.iter().filter_map(|shape| matches(text, at, *shape)).max()?;
    // A full stop ends the sentence.
    let trailing = text[at..end].iter().rev().take_while(|byte| **byte == b'.').count();
    Some(end - trailing)
}

fn matches(text: &[u8], at: usize, (prefix, rest, least, digit): Shape) -> Option<usize> {
    if text.get(at + 1) != prefix.as_bytes().get(1) || !starts(text, at, prefix) {
        return None;
    }
    let start = at + prefix.len();
    let enough = run_within(text, start, least, |byte| rest.takes(byte)) == start + least;
    let window = &text[start..text.len().min(start + SEARCHED.max(least))];
    let of_rest = window.iter().take_while(|byte| rest.takes(**byte));
    if !enough || (digit && !of_rest.into_iter().any(u8::is_ascii_digit)) {
        return None;
    }
    match rest {
        Rest::Hex => {
            let end = start + least;
            (!text.get(end).is_some_and(|byte| is_word(*byte))).then_some(end)
        }
        _ => Some(run(text, start, |byte| rest.takes(byte))),
    }
}

/// The start and the end of the secret path behind the host that begins at `at`.
pub(super) fn hook(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !matches!(text[at] | 0x20, b'h' | b'd' | b'w') {
        return None;
    }
    let host = HOOKS.iter().find(|host| starts_any_case(text, at, host))?;
    let start = at + host.len();
    let end = run(text, start, |byte| is_word(byte) || matches!(byte, b'/' | b'@' | b'%'));
    (end > start).then_some((start, end))
}

/// The start and the end of a key without a prefix that is, or begins with, the word from `start` to `end`.
pub(super) fn shaped(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let word = &text[start..end];
    let hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    // Telegram: the number of the bot, a colon, 35 characters.
    let number = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &word[..word.len() - number];
    if (8..=11).contains(&number) && text.get(end) == Some(&b':') && (before.is_empty() || before == b"bot") {
        let stop = run_within(text, end + 1, 64, is_word);
        if (34..=40).contains(&(stop - end - 1)) {
            return Some((start + before.len(), stop));
        }
    }
    match word.len() {
        // Azure: the secret of a client.
        5 if word[4] == b'Q' && word[3].is_ascii_digit() && text.get(end) == Some(&b'~') => {
            let stop = run_within(text, end, 64, |byte| is_word(byte) || matches!(byte, b'.' | b'~'));
            (stop - start >= 36).then_some((start, stop))
        }
        // Terraform Cloud.
        14 if starts(text, end, ".atlasv1.") => {
            let stop = run(text, end + 9, is_word);
            (stop - end >= 40).then_some((start, stop))
        }
        // Discord: the id of a bot, a time, a signature.
        23..=28 if matches!(word[0], b'M' | b'N' | b'O') && text.get(end) == Some(&b'.') => {
            let time = run_within(text, end + 1, 7, is_word);
            let stop = run(text, time + 1, is_word);
            (time == end + 7 && text.get(time) == Some(&b'.') && stop - time > 26).then_some((start, stop))
        }
        // Mailchimp: a key and a data centre.
        36 | 37 if hex(&word[..32]) && word[32..].starts_with(b"-us") => {
            word[35..].iter().all(u8::is_ascii_digit).then_some((start, end))
        }
        // New Relic: a licence key.
        40 if word.ends_with(b"NRAL") && hex(&word[..36]) => Some((start, end)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shape_is_shorter_than_what_is_looked_at() {
        for (prefix, _, least, _) in SHAPES {
            assert!(prefix.len() >= 2 && prefix.len() + least >= SHORTEST, "{prefix}");
        }
    }

    #[test]
    fn the_shapes_of_a_first_byte_stand_together() {
        for (first, (from, to)) in BY_FIRST.iter().enumerate() {
            let with = SHAPES.iter().filter(|shape| usize::from(shape.0.as_bytes()[0]) == first).count();
            assert_eq!(usize::from(*to) - usize::from(*from), with, "{:?}", first as u8 as char);
        }
    }
}
