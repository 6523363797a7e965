//! Which keys there are, which of them hold secrets, and what a misspelt one was meant to be. The defaults are the catalogue.

use figment::value::{Dict, Value};

/// Keys whose values are secrets: each can be read from a file, and none is shown.
pub(crate) const SECRETS: [&str; 12] = [
    "database.url",
    "database.worker_url",
    "database.owner_url",
    "database.listen_url",
    "identity.api_key_pepper",
    "identity.previous_api_key_peppers",
    "identity.local.signing_key",
    "identity.clerk.secret_key",
    "identity.clerk.webhook_signing_secret",
    "billing.stripe_secret_key",
    "mail.smtp_url",
    "platform.key",
];

/// Well-known variables, and the keys they set.
pub(crate) const WELL_KNOWN: [(&str, &str); 8] = [
    ("DATABASE_URL", "database.url"),
    ("WORKER_DATABASE_URL", "database.worker_url"),
    ("OWNER_DATABASE_URL", "database.owner_url"),
    ("CLERK_SECRET_KEY", "identity.clerk.secret_key"),
    (
        "CLERK_WEBHOOK_SIGNING_SECRET",
        "identity.clerk.webhook_signing_secret",
    ),
    ("STRIPE_SECRET_KEY", "billing.stripe_secret_key"),
    ("SMTP_URL", "mail.smtp_url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
];

/// Whether the value of a key is a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
}

/// The value of a dotted key.
pub(crate) fn find<'a>(tree: &'a Dict, key: &str) -> Option<&'a Value> {
    let (head, rest) = key
        .split_once('.')
        .map_or((key, None), |(head, rest)| (head, Some(rest)));
    match (tree.get(head), rest) {
        (found, None) => found,
        (Some(Value::Dict(_, inner)), Some(rest)) => find(inner, rest),
        _ => None,
    }
}

/// Every dotted key of a tree that holds a value and not a section.
pub(crate) fn leaves(tree: &Dict) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in tree {
        match value {
            Value::Dict(_, inner) => {
                keys.extend(leaves(inner).iter().map(|rest| format!("{name}.{rest}")));
            }
            _ => keys.push(name.clone()),
        }
    }
    keys
}

/// The first key of `tree` that `known` does not have.
pub(crate) fn first_unknown(tree: &Dict, known: &Dict) -> Option<String> {
    tree.iter()
        .find_map(|(name, value)| match (value, known.get(name)) {
            (_, None) => Some(name.clone()),
            (Value::Dict(_, inner), Some(Value::Dict(_, known))) => {
                first_unknown(inner, known).map(|rest| format!("{name}.{rest}"))
            }
            _ => None,
        })
}

/// The known key that `name` most resembles, unless nothing does.
pub(crate) fn nearest(name: &str, known: &Dict) -> Option<String> {
    let sections = known.keys().cloned();
    leaves(known)
        .into_iter()
        .chain(sections)
        .map(|key| (distance(name, &key), key))
        .min()
        .filter(|(distance, key)| *distance <= (key.len() / 3).max(2))
        .map(|(_, key)| key)
}

/// How many letters must be added, dropped or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("port", "port"), 0);
        assert_eq!(distance("prot", "port"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("http.pot", "http.port"), 1);
    }
}
