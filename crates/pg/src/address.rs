//! Where the database is, and how long it may say nothing before it counts as away.

/// What libpq is told unless the address says otherwise. By itself it waits for as long as the system does: for a machine that went away
/// without a word, a quarter of an hour. In seconds, but for the last one, in milliseconds.
const PATIENCE: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
];

/// The address, a URL or words as libpq takes them, with limits to how long it is waited for.
pub(crate) fn with_patience(address: &str) -> String {
    let is_missing = |(key, _): &&(&str, &str)| {
        let mut said = address.split(['?', '&', ' ']);
        !said.any(|word| word.trim_start().starts_with(key))
    };
    let missing = PATIENCE.iter().filter(is_missing);
    let pairs: Vec<String> = missing
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    match address.split_once("://") {
        _ if pairs.is_empty() => address.to_owned(),
        None => format!("{address} {}", pairs.join(" ")),
        Some((_, rest)) => {
            let first = if has_query(rest) { '&' } else { '?' };
            format!("{address}{first}{}", pairs.join("&"))
        }
    }
}

/// Whether a URL has parameters. A question mark in a password is none.
fn has_query(rest: &str) -> bool {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.contains('?') || path.contains('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "connect_timeout=5&keepalives_idle=15&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=20000";

    #[test]
    fn an_address_gets_what_it_does_not_say() {
        for (address, first) in [
            ("postgres://a@h/db", '?'),
            ("postgresql://a:b?c@h", '?'),
            ("postgres://a:b?c@h/db?sslmode=require", '&'),
            ("postgres://h?host=/run", '&'),
            ("postgres://a@h/db?user=x@y", '&'),
        ] {
            assert_eq!(with_patience(address), format!("{address}{first}{ALL}"));
        }
        let words = "host=h dbname=db";
        assert_eq!(
            with_patience(words),
            format!("{words} {}", ALL.replace('&', " "))
        );
    }

    #[test]
    fn what_it_says_stays() {
        let said = "postgres://h/db?connect_timeout=60&tcp_user_timeout=0";
        let kept = "keepalives_idle=15&keepalives_interval=5&keepalives_count=3";
        assert_eq!(with_patience(said), format!("{said}&{kept}"));
        let words = format!("host=h {}", ALL.replace('&', " "));
        assert_eq!(with_patience(&words), words);
    }
}
