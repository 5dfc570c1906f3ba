//! `NO_PROXY`: the hosts to which requests go directly.
//!
//! A request goes directly if Go's `httpproxy` or curl would send it directly:
//!
//! | entry | hosts | of |
//! | --- | --- | --- |
//! | `*` | all; for curl only if it is the only entry | Go, curl |
//! | `example.com` | the host and all below it | Go, curl |
//! | `.example.com` | all below it; for curl the host itself, too | Go, curl |
//! | `*.example.com` | all below it | Go |
//! | `10.0.0.1`, `::1` | the address | Go, curl |
//! | `[::1]` | the address | Go |
//! | `10.0.0.0/8`, `fd00::/8` | the addresses of the network | Go; curl for version 4 |
//! | any of the above but `*` and networks, with `:port` | the same, at this port | Go |
//! | none | `localhost` and this machine's own addresses 127.0.0.0/8 and ::1 | Go |
//!
//! Entries are separated by commas (Go, curl) or spaces (curl). Upper and lower case make no difference.

use std::net::IpAddr;

use reqwest::Url;

/// The entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy {
    entries: Vec<Entry>,
    /// Whether requests to this machine go directly.
    has_loopback: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Hosts {
    All,
    /// The addresses whose first bits are those of this one.
    Network(IpAddr, u32),
    /// All below the domain, and the domain itself if `itself` says so.
    Domain {
        name: String,
        itself: bool,
    },
}

impl NoProxy {
    /// The hosts of this list, and this machine.
    pub(crate) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ']).filter(|text| !text.is_empty());
        Self { entries: entries.filter_map(Entry::parse).collect(), has_loopback: true }
    }

    pub(crate) fn contains(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let port = url.port_or_known_default();
        let listed = |entry: &Entry| {
            (entry.port.is_none() || entry.port == port) && entry.hosts.contain(&host, address)
        };
        self.has_loopback && is_here || self.entries.iter().any(listed)
    }
}

impl Entry {
    /// `None` for an entry that no host can have.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return Some(Self { hosts: Hosts::Network(address, bits), port: None });
        }
        // An address of version 6 has several colons, and none of them is before a port unless it is in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (text, None),
        };
        let host =
            host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let hosts = match host.parse::<IpAddr>() {
            Ok(address) => Hosts::Network(address, 128),
            Err(_) => {
                let below = host.strip_prefix("*.");
                let name = below.unwrap_or_else(|| host.strip_prefix('.').unwrap_or(&host));
                Hosts::Domain {
                    name: Some(name).filter(|name| !name.is_empty())?.to_owned(),
                    itself: below.is_none(),
                }
            }
        };
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn contain(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Network(network, bits) => {
                let same = |one: u128, other: u128, width: u32| {
                    let rest = width.saturating_sub(*bits);
                    one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
                };
                match (network, address) {
                    (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                        same(network.to_bits().into(), address.to_bits().into(), 32)
                    }
                    (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                        same(network.to_bits(), address.to_bits(), 128)
                    }
                    _ => false,
                }
            }
            Self::Domain { name, itself } => match host.strip_suffix(name.as_str()) {
                Some("") => *itself,
                Some(before) => before.ends_with('.'),
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go's `httpproxy` (golang.org/x/net 0.47) and curl (7.88.1) do: whether a request to the URL goes directly.
    const TABLE: [(&str, &str, bool, bool); 39] = [
        // The list, the URL, Go, curl.
        ("*", "http://a.example/", true, true),
        ("x,*", "http://a.example/", true, false),
        ("example", "http://example/", true, true),
        ("example", "http://a.example/", true, true),
        ("example", "http://notexample/", false, false),
        ("example", "http://example.a/", false, false),
        (".example", "http://a.example/", true, true),
        (".example", "http://example/", false, true),
        ("*.example", "http://a.example/", true, false),
        ("*.example", "http://a.b.example/", true, false),
        ("*.example", "http://example/", false, false),
        ("*.example:80", "http://a.example/", true, false),
        ("a.example:80", "http://a.example/", true, false),
        ("a.example:443", "https://a.example/", true, false),
        ("a.example:81", "http://a.example/", false, false),
        ("a.example:8080", "http://a.example:8080/", true, false),
        ("a.example:8080", "http://a.example/", false, false),
        ("example:80", "http://a.example/", true, false),
        ("a.example:http", "http://a.example/", false, false),
        ("[2001:db8::1]", "http://[2001:db8::1]:1/", true, false),
        ("2001:db8::1", "http://[2001:db8::1]:1/", true, true),
        ("[2001:db8::1]:1", "http://[2001:db8::1]:1/", true, false),
        ("[2001:db8::1]:2", "http://[2001:db8::1]:1/", false, false),
        ("2001:db8::/32", "http://[2001:db8::1]/", true, false),
        ("2001:db8::/32", "http://[2001:db9::1]/", false, false),
        ("192.0.2.1", "http://192.0.2.1:1/", true, true),
        ("192.0.2.1", "http://192.0.2.10:1/", false, false),
        ("192.0.2.1:1", "http://192.0.2.1:1/", true, false),
        ("192.0.2.1:2", "http://192.0.2.1:1/", false, false),
        ("192.0.2.0/24", "http://192.0.2.200/", true, true),
        ("192.0.2.0/24", "http://192.0.3.1/", false, false),
        ("192.0.2.0/24", "http://a.example/", false, false),
        ("", "http://127.0.0.1:1/", true, false),
        ("", "http://localhost/", true, false),
        ("", "http://[::1]/", true, false),
        ("x, a.example", "http://a.example/", true, true),
        ("x a.example", "http://a.example/", false, true),
        ("A.Example", "http://a.EXAMPLE/", true, true),
        ("a.example.", "http://a.example/", false, true),
    ];

    #[test]
    fn a_request_goes_directly_if_it_does_in_go_or_curl() {
        for (list, url, go, curl) in TABLE {
            let directly = NoProxy::parse(list).contains(&Url::parse(url).expect("valid"));
            assert_eq!(directly, go || curl, "{list:?} {url}");
        }
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        for list in [",,", "/", "a/b", "1.2.3.4/x", ":80", "[]", ".", "*.", "a.example:x", "x,,y"] {
            assert!(
                !NoProxy::parse(list).contains(&Url::parse("http://a.example/").expect("valid")),
                "{list}"
            );
        }
        assert!(NoProxy::parse("0.0.0.0/0").contains(&Url::parse("http://192.0.2.1/").expect("valid")));
        assert!(!NoProxy::default().contains(&Url::parse("http://127.0.0.1/").expect("valid")));
    }
}
