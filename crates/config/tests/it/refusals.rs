//! What is refused, and whether a newcomer can tell what to do about it.

use config::{ConfigError, Service};

use crate::{load, load_file};

fn refusal(result: Result<config::Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    let said = refusal(load_file("[http]\nprot = 1\n", &[]));
    assert!(
        said.contains("sets http.prot, which is not known: did you mean http.port?"),
        "{said}"
    );
    let said = refusal(load_file("[databse]\nurl = \"x\"\n", &[]));
    assert!(
        said.contains("databse") && said.contains("did you mean database?"),
        "{said}"
    );
    let said = refusal(load_file("[quite.something]\nelse = 1\n", &[]));
    assert!(said.ends_with("sets quite, which is not known"), "{said}");
}

#[test]
fn an_unknown_variable_is_named_with_the_one_that_was_meant() {
    let said = refusal(load(&[("PLINTH__HTTP__PROT", "1")]));
    assert!(said.contains("PLINTH__HTTP__PROT"), "{said}");
    assert!(said.contains("did you mean PLINTH__HTTP__PORT?"), "{said}");
    // A section is no key, and only secrets are read from files.
    assert!(matches!(
        load(&[("PLINTH__HTTP", "1")]),
        Err(ConfigError::Unknown { .. })
    ));
    assert!(matches!(
        load(&[("PLINTH__HTTP__PORT_FILE", "/x")]),
        Err(ConfigError::Unknown { .. })
    ));
}

#[test]
fn an_unknown_field_of_an_issuer_is_refused() {
    let json = r#"[{"kind": "clerk", "issuer": "https://c.example.com", "audiance": []}]"#;
    let said = refusal(load(&[("PLINTH__IDENTITY__ISSUERS", json)]));
    assert!(
        said.contains("audiance") && said.contains("PLINTH__IDENTITY__ISSUERS"),
        "{said}"
    );
}

#[test]
fn values_of_the_wrong_kind_name_their_key_and_their_source() {
    let said = refusal(load(&[("PLINTH__HTTP__PORT", "many")]));
    assert_eq!(
        said,
        "http.port (PLINTH__HTTP__PORT): must be a whole number"
    );
    let said = refusal(load(&[("PLINTH__HTTP__PORT", "70000")]));
    assert!(said.starts_with("http.port (PLINTH__HTTP__PORT)"), "{said}");
    let said = refusal(load_file("environment = \"staging\"", &[]));
    assert!(
        said.contains("environment") && said.contains("plinth.toml"),
        "{said}"
    );
    let said = refusal(load_file("http = 5", &[]));
    assert!(said.starts_with("http "), "{said}");
    let said = refusal(load_file("\n\n[http\n", &[]));
    assert!(said.contains("plinth.toml is no TOML: line 3"), "{said}");
    let said = refusal(load(&[("PLINTH_CONFIG", "/nowhere/plinth.toml")]));
    assert!(
        said.starts_with("PLINTH_CONFIG names the file /nowhere/plinth.toml"),
        "{said}"
    );
}

#[test]
fn everything_that_a_service_lacks_is_said_at_once() {
    let said = load(&[])
        .unwrap()
        .require(Service::Api)
        .unwrap_err()
        .to_string();
    assert!(said.contains("database.url is not set"), "{said}");
    assert!(
        said.contains("set DATABASE_URL or DATABASE_URL_FILE"),
        "{said}"
    );
    assert!(
        said.contains("set PLINTH__IDENTITY__API_KEY_PEPPER or"),
        "{said}"
    );
    assert!(
        said.contains("identity.local.signing_key is not set"),
        "{said}"
    );
    let said = load(&[])
        .unwrap()
        .require(Service::Worker)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("WORKER_DATABASE_URL") && said.contains("SMTP_URL"),
        "{said}"
    );
    let said = load(&[])
        .unwrap()
        .require(Service::Migrate)
        .unwrap_err()
        .to_string();
    assert!(said.contains("OWNER_DATABASE_URL"), "{said}");
    let pepper = "p".repeat(32);
    let enough = [
        ("DATABASE_URL", "postgres://x"),
        ("PLINTH__MAIL__FILE", "/tmp"),
        ("PLINTH__IDENTITY__API_KEY_PEPPER", &pepper),
    ];
    load(&enough).unwrap().require(Service::Worker).unwrap();
}

#[test]
fn a_log_in_that_is_off_needs_no_key() {
    let pepper = "p".repeat(32);
    let config = load(&[
        ("DATABASE_URL", "postgres://x"),
        ("PLINTH__IDENTITY__API_KEY_PEPPER", &pepper),
        ("PLINTH__IDENTITY__LOCAL__ENABLED", "false"),
    ]);
    config.unwrap().require(Service::Api).unwrap();
}

#[test]
fn issuers_are_https_or_on_this_machine_and_sign_with_public_keys() {
    let with = |field: &str| {
        let json = format!(r#"[{{"kind": "oidc", {field}}}]"#);
        load(&[("PLINTH__IDENTITY__ISSUERS", &json)])
    };
    assert!(with(r#""issuer": "http://localhost:9000""#).is_ok());
    for (field, word) in [
        (
            r#""issuer": "http://login.example.com""#,
            "issuers[0].issuer",
        ),
        (
            r#""issuer": "https://a.example", "jwks_url": "http://a.example/keys""#,
            "jwks_url",
        ),
        (
            r#""issuer": "https://a.example", "algorithms": ["HS256"]"#,
            "algorithms",
        ),
        (
            r#""issuer": "https://a.example", "algorithms": ["none"]"#,
            "algorithms",
        ),
        (
            r#""issuer": "https://a.example", "algorithms": []"#,
            "algorithms",
        ),
    ] {
        let said = refusal(with(field));
        assert!(said.contains(word), "{said}");
    }
    let twice = r#"[{"kind": "oidc", "issuer": "https://a.example"}, {"kind": "clerk", "issuer": "https://a.example"}]"#;
    assert!(refusal(load(&[("PLINTH__IDENTITY__ISSUERS", twice)])).contains("one name"));
    assert!(
        refusal(load(&[("CLERK_JWKS_URL", "https://a.example/keys")])).contains("CLERK_ISSUER")
    );
}

#[test]
fn events_are_kept_for_ever_or_for_seventy_days_and_more() {
    let days = |days: &str| load(&[("PLINTH__USAGE__RETENTION_DAYS", days)]);
    assert_eq!(load(&[]).unwrap().usage.retention_days(), None);
    assert_eq!(days("0").unwrap().usage.retention_days(), None);
    assert_eq!(days("70").unwrap().usage.retention_days(), Some(70));
    let said = refusal(days("69"));
    assert!(said.contains("usage.retention_days"), "{said}");
    let said = refusal(load(&[("PLINTH__USAGE__EXPORT__FORMAT", "parquet")]));
    assert!(said.contains("usage.export.format"), "{said}");
}
