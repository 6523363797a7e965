//! Issuers against a server that publishes keys, fails, and changes its mind.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod provider;

use std::time::Duration;

use identity::{TokenError, TokenVerifier, VerifiedIdentity};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use plinth_idp::{IssuerKind, IssuerSettings, Issuers, LocalIssuer, generate_signing_key};
use provider::{Provider, SigningKey};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

async fn verify(issuers: &Issuers, token: &str) -> Result<VerifiedIdentity, TokenError> {
    issuers.verify(&token.into(), NOW).await
}

fn trusting(provider: &Provider, change: impl FnOnce(&mut IssuerSettings)) -> Issuers {
    let mut settings = IssuerSettings::new(IssuerKind::Oidc, provider.issuer());
    settings.algorithms = vec!["EdDSA".into()];
    change(&mut settings);
    Issuers::new(&[settings]).unwrap()
}

#[actix_web::test]
async fn keys_are_discovered_once_for_many_at_a_time() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let issuers = trusting(&provider, |_| ());
    let token = key.sign(&provider.claims());
    let all = futures_util::future::join_all((0..20).map(|_| verify(&issuers, &token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(all[0].as_ref().unwrap().identity.subject, "ada");
    assert_eq!((provider.discoveries(), provider.fetches()), (1, 1));
}

#[actix_web::test]
async fn unreachable_keys_are_not_a_forged_token() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    provider.fail(true);
    let issuers = trusting(&provider, |_| ());
    let token = key.sign(&provider.claims());
    assert_eq!(
        verify(&issuers, &token).await,
        Err(TokenError::KeysUnavailable)
    );
    provider.fail(false);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(
        verify(&issuers, &token).await.is_ok(),
        "it recovers by itself"
    );
}

#[actix_web::test]
async fn stale_keys_go_on_to_work_while_the_issuer_is_down() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let issuers = trusting(&provider, |settings| settings.jwks_ttl_seconds = 0);
    let token = key.sign(&provider.claims());
    assert!(verify(&issuers, &token).await.is_ok());
    provider.fail(true);
    for _ in 0..5 {
        assert!(verify(&issuers, &token).await.is_ok());
    }
}

#[actix_web::test]
async fn a_rotated_key_is_found_at_once_and_invented_ones_cost_one_fetch() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let provider = Provider::start(&[&old]);
    let issuers = trusting(&provider, |_| ());
    assert!(
        verify(&issuers, &old.sign(&provider.claims()))
            .await
            .is_ok()
    );
    provider.publish(&[&new]);
    assert!(
        verify(&issuers, &new.sign(&provider.claims()))
            .await
            .is_ok()
    );
    for number in 0..10 {
        let invented = SigningKey::new(&format!("invented-{number}")).sign(&provider.claims());
        assert_eq!(verify(&issuers, &invented).await, Err(TokenError::Invalid));
    }
    assert_eq!(provider.fetches(), 2);
    assert_eq!(
        verify(&issuers, &old.sign(&provider.claims())).await,
        Err(TokenError::Invalid),
        "a withdrawn key is gone"
    );
}

#[actix_web::test]
async fn redirects_of_the_key_address_are_not_followed() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let issuers = trusting(&provider, |settings| {
        settings.jwks_url = Some(provider.url("/redirect"));
    });
    let token = key.sign(&provider.claims());
    assert_eq!(
        verify(&issuers, &token).await,
        Err(TokenError::KeysUnavailable)
    );
}

#[actix_web::test]
async fn a_slow_issuer_is_given_up_after_the_timeout() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let issuers = trusting(&provider, |settings| {
        settings.jwks_url = Some(provider.url("/slow"));
        settings.jwks_timeout_seconds = 1;
    });
    let token = key.sign(&provider.claims());
    assert_eq!(
        verify(&issuers, &token).await,
        Err(TokenError::KeysUnavailable)
    );
}

#[actix_web::test]
async fn a_key_of_one_issuer_opens_no_door_of_another() {
    let (mine, theirs) = (SigningKey::new("same"), SigningKey::new("same"));
    let (a, b) = (Provider::start(&[&mine]), Provider::start(&[&theirs]));
    let settings = [&a, &b].map(|provider| IssuerSettings {
        algorithms: vec!["EdDSA".into()],
        ..IssuerSettings::new(IssuerKind::Oidc, provider.issuer())
    });
    let issuers = Issuers::new(&settings).unwrap();
    assert!(verify(&issuers, &mine.sign(&a.claims())).await.is_ok());
    assert!(verify(&issuers, &theirs.sign(&b.claims())).await.is_ok());
    assert_eq!(
        verify(&issuers, &theirs.sign(&a.claims())).await,
        Err(TokenError::Invalid)
    );
    let mut stranger = a.claims();
    stranger["iss"] = json!("https://stranger.example");
    assert_eq!(
        verify(&issuers, &mine.sign(&stranger)).await,
        Err(TokenError::Invalid)
    );
}

#[actix_web::test]
async fn other_algorithms_are_not_tried() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let issuers = trusting(&provider, |_| ());
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    let secret = EncodingKey::from_secret(key.public_bytes());
    let confused = encode(&header, &provider.claims(), &secret).unwrap();
    assert_eq!(verify(&issuers, &confused).await, Err(TokenError::Invalid));
    let rs_only = trusting(&provider, |settings| {
        settings.algorithms = vec!["RS256".into()];
    });
    let token = key.sign(&provider.claims());
    assert_eq!(verify(&rs_only, &token).await, Err(TokenError::Invalid));
}

#[actix_web::test]
async fn a_local_issuer_stands_beside_the_others() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]);
    let local = IssuerSettings {
        signing_key: Some(generate_signing_key()),
        ..IssuerSettings::new(IssuerKind::Local, "https://plinth.example")
    };
    let dead = IssuerSettings::new(IssuerKind::Oidc, "http://127.0.0.1:1");
    let remote = IssuerSettings {
        algorithms: vec!["EdDSA".into()],
        ..IssuerSettings::new(IssuerKind::Oidc, provider.issuer())
    };
    let issuers = Issuers::new(&[local.clone(), dead, remote]).unwrap();
    assert!(issuers.local().is_some());
    assert!(
        verify(&issuers, &key.sign(&provider.claims()))
            .await
            .is_ok()
    );
    assert!(
        Issuers::new(&[local.clone(), local]).is_err(),
        "no issuer twice"
    );
    assert!(LocalIssuer::new("x", &"nonsense".into()).is_err());
}
