//! How single values are read.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Text, where an empty one means "not set".
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// A secret, where an empty one means "not set".
pub(crate) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    optional_text(deserializer).map(|text| text.map(SecretString::from))
}

/// `https`, or `http` to this machine itself; no user name in it.
pub(crate) fn is_safe_url(url: &str) -> bool {
    let authority = |rest: &str| {
        rest.split(['/', '?', '#'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(rest) = url.strip_prefix("https://") {
        let host = authority(rest);
        return !host.is_empty() && !host.contains('@');
    }
    url.strip_prefix("http://")
        .is_some_and(|rest| is_loopback(&authority(rest)))
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_be_plain_http() {
        for url in [
            "https://clerk.example.com",
            "https://example.com:8443/realms/x",
            "http://localhost:8080/realms/x",
            "http://127.0.0.1",
            "http://[::1]:9000/",
        ] {
            assert!(is_safe_url(url), "{url}");
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com/",
            "https://user@example.com",
            "http://10.0.0.1",
            "https://",
            "ftp://localhost",
            "localhost",
        ] {
            assert!(!is_safe_url(url), "{url}");
        }
    }
}
