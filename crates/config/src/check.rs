//! Rules that a single value cannot show.

use secrecy::ExposeSecret;

use crate::{
    Config, ConfigError, Issuer, Provisioning, usage::MIN_RETENTION_DAYS, value::is_safe_url,
};

/// Signatures that can be checked with a public key. A shared secret would let any client of an issuer sign as that issuer.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// Checks what single values cannot show.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    for (index, issuer) in config.identity.issuers.iter().enumerate() {
        let key = format!("identity.issuers[{index}]");
        check_issuer(&key, issuer)?;
        let same = |other: &&Issuer| other.issuer == issuer.issuer;
        let local = config.identity.local.enabled && config.identity.local.issuer == issuer.issuer;
        if local || config.identity.issuers.iter().filter(same).count() > 1 {
            return refuse(&key, "two issuers have one name");
        }
    }
    if config.identity.api_key_pepper.is_some() {
        config.identity.peppers()?;
    }
    let local = &config.identity.local;
    if local.enabled && local.issuer.is_empty() {
        return refuse("identity.local", "issuer must be set");
    }
    let shared = config.identity.provisioning == Provisioning::SharedTenant;
    if shared && config.identity.shared_tenant_id.is_none() {
        return refuse("identity.shared_tenant_id", "must be set for shared_tenant");
    }
    let short = |key: &secrecy::SecretString| key.expose_secret().len() < 32;
    if config.platform.key.as_ref().is_some_and(short) {
        return refuse("platform.key", "must have at least 32 characters");
    }
    let worker = &config.worker;
    let bounds = [
        ("http.max_body_bytes", config.http.max_body_bytes > 0),
        (
            "database.max_connections",
            config.database.max_connections > 0,
        ),
        (
            "database.statement_timeout_ms",
            config.database.statement_timeout_ms > 0,
        ),
        (
            "usage.retention_days",
            config
                .usage
                .retention_days()
                .is_none_or(|days| (MIN_RETENTION_DAYS..=36_500).contains(&days)),
        ),
        // An idle worker asks this often; a lease is extended three times before it passes.
        ("worker.poll_ms", (10..=60_000).contains(&worker.poll_ms)),
        (
            "worker.lease_seconds",
            (3..=3600).contains(&worker.lease_seconds),
        ),
        (
            "worker.concurrency",
            (1..=1000).contains(&worker.concurrency),
        ),
    ];
    match bounds.into_iter().find(|(_, holds)| !holds) {
        Some((key, _)) => refuse(key, "is out of bounds"),
        None => Ok(()),
    }
}

fn check_issuer(key: &str, issuer: &Issuer) -> Result<(), ConfigError> {
    let plain = "must be an https address; plain http is for this machine itself";
    if !is_safe_url(&issuer.issuer) {
        return refuse(&format!("{key}.issuer"), plain);
    }
    if issuer
        .jwks_url
        .as_ref()
        .is_some_and(|url| !is_safe_url(url))
    {
        return refuse(&format!("{key}.jwks_url"), plain);
    }
    let known = |name: &String| ALGORITHMS.contains(&name.as_str());
    if issuer.algorithms.is_empty() || !issuer.algorithms.iter().all(known) {
        return refuse(
            &format!("{key}.algorithms"),
            &format!("must be some of {ALGORITHMS:?}"),
        );
    }
    Ok(())
}

fn refuse(key: &str, why: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Invalid {
        key: key.to_owned(),
        source_name: "the configuration".to_owned(),
        why: why.to_owned(),
    })
}
