//! Which source wins.

use config::{Environment, IssuerKind, Network};

use crate::{load, load_file};

#[test]
fn with_nothing_set_the_defaults_hold_and_are_the_careful_ones() {
    let config = load(&[]).unwrap();
    assert_eq!(config.environment, Environment::Production);
    assert_eq!(config.http.bind.to_string(), "127.0.0.1");
    assert!(config.database.url.is_none());
    assert!(config.identity.issuers.is_empty());
}

#[test]
fn variables_go_over_the_file_and_the_file_over_the_defaults() {
    let file = "[http]\nport = 9000\nworkers = 3\n";
    let config = load_file(file, &[("PLINTH__HTTP__PORT", "9001")]).unwrap();
    assert_eq!((config.http.port, config.http.workers), (9001, 3));
    assert_eq!(config.http.max_body_bytes, 1_048_576);
}

#[test]
fn variables_are_read_as_what_the_key_holds() {
    let config = load(&[
        ("PLINTH__ENVIRONMENT", "dev"),
        ("PLINTH__IDENTITY__LOCAL__ENABLED", "false"),
        ("PLINTH__HTTP__TRUSTED_PROXIES", r#"["10.0.0.0/8", "::1"]"#),
        ("PLINTH__MAIL__FILE", "12345"),
        ("PLINTH__LOG__FILTER", ""),
    ])
    .unwrap();
    assert_eq!(config.environment, Environment::Dev);
    assert!(!config.identity.local.enabled);
    assert_eq!(
        config.http.trusted_proxies[1],
        Network::parse("::1").unwrap()
    );
    assert_eq!(config.mail.file.as_deref(), Some("12345"));
    assert_eq!(config.log.filter, "info");
}

#[test]
fn well_known_variables_go_over_the_file_and_below_our_own() {
    use secrecy::ExposeSecret;
    let file = "[database]\nurl = \"postgres://file\"\n";
    let url = |variables: &[(&str, &str)]| {
        let config = load_file(file, variables).unwrap();
        config.database.url.unwrap().expose_secret().to_owned()
    };
    assert_eq!(url(&[]), "postgres://file");
    assert_eq!(
        url(&[("DATABASE_URL", "postgres://known")]),
        "postgres://known"
    );
    let both = [
        ("DATABASE_URL", "postgres://known"),
        ("PLINTH__DATABASE__URL", "postgres://own"),
    ];
    assert_eq!(url(&both), "postgres://own");
}

#[test]
fn the_worker_falls_back_to_the_url_of_the_api() {
    use secrecy::ExposeSecret;
    let config = load(&[("DATABASE_URL", "postgres://app")]).unwrap();
    assert_eq!(
        config.database.worker_url().unwrap().expose_secret(),
        "postgres://app"
    );
    let config = load(&[
        ("DATABASE_URL", "postgres://app"),
        ("WORKER_DATABASE_URL", "postgres://worker"),
    ])
    .unwrap();
    assert_eq!(
        config.database.worker_url().unwrap().expose_secret(),
        "postgres://worker"
    );
}

#[test]
fn the_listener_falls_back_to_the_url_of_the_api() {
    use secrecy::ExposeSecret;
    let listens_at = |variables: &[(&str, &str)]| {
        let config = load(variables).unwrap();
        config
            .database
            .listen_url()
            .unwrap()
            .expose_secret()
            .to_owned()
    };
    let pooler = ("DATABASE_URL", "postgres://pooler");
    assert_eq!(listens_at(&[pooler]), "postgres://pooler");
    let direct = ("PLINTH__DATABASE__LISTEN_URL", "postgres://direct");
    assert_eq!(listens_at(&[pooler, direct]), "postgres://direct");
}

#[test]
fn issuers_come_from_the_file_from_json_and_from_well_known_names() {
    let file = r#"
        [[identity.issuers]]
        kind = "oidc"
        issuer = "https://login.example.com"
        audience = ["plinth"]
    "#;
    let from_file = load_file(
        file,
        &[("KEYCLOAK_ISSUER", "http://localhost:8081/realms/a")],
    );
    let issuers = from_file.unwrap().identity.issuers;
    assert_eq!(issuers[0].kind, IssuerKind::Oidc);
    assert_eq!(
        (issuers[0].algorithms.as_slice(), issuers[0].leeway_seconds),
        (&["RS256".to_owned()][..], 5)
    );
    assert_eq!(issuers[1].kind, IssuerKind::Keycloak);

    let json = r#"[{"kind": "clerk", "issuer": "https://clerk.example.com", "authorized_parties": ["https://app.example.com"],
                    "jwks_ttl_seconds": 60}]"#;
    // The same issuer by its well-known name: the list, which says more, wins.
    let config = load(&[
        ("PLINTH__IDENTITY__ISSUERS", json),
        ("CLERK_ISSUER", "https://clerk.example.com"),
    ]);
    let issuers = config.unwrap().identity.issuers;
    assert_eq!(issuers.len(), 1);
    assert_eq!(issuers[0].authorized_parties, ["https://app.example.com"]);
    assert_eq!(issuers[0].jwks_ttl_seconds, 60);

    let config = load(&[
        ("CLERK_ISSUER", "https://clerk.example.com"),
        ("CLERK_AUDIENCE", "a, b"),
    ]);
    assert_eq!(config.unwrap().identity.issuers[0].audience, ["a", "b"]);
}
