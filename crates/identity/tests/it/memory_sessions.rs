//! Somebody logs in, goes on, and logs out.

use kernel::{Email, RequestInfo, Scope, TenantId, UserId};
use plinth_identity::{
    ExternalIdentity, LogInError, NewUser, Password, RefreshError, Tokens, User, UserStatus,
    VerifiedIdentity, session, user,
};
use secrecy::SecretString;
use testkit::contract::{Backend, Seed, people};
use time::Duration;

use crate::memory::{NOW, World, pepper};

const PASSWORD: &str = "correct horse battery";

fn email(name: &str) -> Email {
    Email::parse("email", &format!("{name}@example.com")).unwrap()
}

/// Ann, who has a password and owns Acme, which she used last.
async fn ann(world: &World) -> (TenantId, User) {
    let password = Password::new("password", PASSWORD.into()).unwrap();
    let hash = world.identity.hash_password(password).await.unwrap();
    let new = NewUser {
        id: UserId::new(NOW),
        email: email("ann"),
        email_verified: true,
        name: None,
        status: UserStatus::Active,
        password_hash: Some(hash),
        identity: None,
    };
    let registered = world.run(Scope::user(new.id), move |store| {
        user::register(store, new, NOW)
    });
    let ann = registered.await.unwrap();
    let acme = testkit::contract::fixture::stored_tenant(&world.memory, "acme")
        .await
        .id;
    people::join(&world.memory, acme, ann.id, &["owner"], NOW).await;
    world.identity.remember_tenant(ann.id, acme).await.unwrap();
    (acme, ann)
}

async fn log_in(world: &World, name: &str, password: &str) -> Result<Tokens, LogInError> {
    let request = RequestInfo::default();
    let logged_in = world.identity.log_in(email(name), password.into(), request);
    logged_in.await.map(|(_, tokens)| tokens)
}

async fn refresh(world: &World, token: &SecretString) -> Result<Tokens, RefreshError> {
    let refreshed = world
        .identity
        .refresh(token.clone(), RequestInfo::default());
    refreshed.await.map(|(_, tokens)| tokens)
}

async fn is_live(world: &World, token: &SecretString) -> bool {
    world.access(token).await.unwrap().session_is_live
}

#[tokio::test]
async fn whoever_knows_the_password_gets_a_token_that_proves_it() {
    let world = World::new();
    let (acme, ann) = ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    let access = world.access(&tokens.access_token).await.unwrap();
    assert_eq!(access.user.id, ann.id);
    assert!(access.session_is_live);
    let membership = access.membership.unwrap();
    assert_eq!(
        (membership.tenant_id, membership.roles),
        (acme, vec!["owner".to_owned()])
    );
    for (name, password) in [("ann", "wrong horse battery"), ("eve", PASSWORD)] {
        let refused = log_in(&world, name, password).await;
        assert!(matches!(refused, Err(LogInError::InvalidCredentials)));
    }
    assert_eq!(world.trail(acme).await, ["session.opened"]);
    world
        .clock
        .advance(session::ACCESS_TOKEN_LIFETIME + Duration::minutes(1));
    assert_eq!(world.proves(&tokens.access_token), None);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_copy_ends_the_session() {
    let world = World::new();
    let (acme, _) = ann(&world).await;
    let first = log_in(&world, "ann", PASSWORD).await.unwrap();
    let second = refresh(&world, &first.refresh_token).await.unwrap();
    assert!(is_live(&world, &second.access_token).await);
    let copy = refresh(&world, &first.refresh_token).await;
    assert!(matches!(copy, Err(RefreshError::Invalid)));
    assert!(!is_live(&world, &second.access_token).await);
    let newest = refresh(&world, &second.refresh_token).await;
    assert!(matches!(newest, Err(RefreshError::Invalid)));
    assert_eq!(
        world.trail(acme).await,
        ["session.opened", "session.token_reused"]
    );
}

#[tokio::test]
async fn many_who_show_one_token_at_once_end_the_session() {
    let world = World::new();
    ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    let showing: Vec<_> = (0..6)
        .map(|_| {
            let (identity, token) = (world.identity.clone(), tokens.refresh_token.clone());
            tokio::spawn(async move { identity.refresh(token, RequestInfo::default()).await })
        })
        .collect();
    let mut bought = Vec::new();
    for shown in showing {
        match shown.await.unwrap() {
            Ok((_, tokens)) => bought.push(tokens),
            Err(error) => assert!(matches!(error, RefreshError::Invalid), "{error:?}"),
        }
    }
    assert_eq!(bought.len(), 1);
    assert!(!is_live(&world, &tokens.access_token).await);
}

#[tokio::test]
async fn a_session_ends_when_its_owner_logs_out() {
    let world = World::new();
    let (acme, _) = ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    let other = log_in(&world, "ann", PASSWORD).await.unwrap();
    for _ in 0..2 {
        let token = tokens.refresh_token.clone();
        let closed = world.identity.log_out(token, RequestInfo::default());
        closed.await.unwrap();
    }
    let refreshed = refresh(&world, &tokens.refresh_token).await;
    assert!(matches!(refreshed, Err(RefreshError::Invalid)));
    assert!(!is_live(&world, &tokens.access_token).await);
    assert!(is_live(&world, &other.access_token).await, "that one alone");
    let closed = world.trail(acme).await;
    let closed = closed.iter().filter(|action| *action == "session.closed");
    assert_eq!(closed.count(), 1);
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let world = World::new();
    ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    world
        .clock
        .advance(session::LIFETIME - Duration::seconds(1));
    let tokens = refresh(&world, &tokens.refresh_token).await.unwrap();
    world.clock.advance(Duration::seconds(1));
    let late = refresh(&world, &tokens.refresh_token).await;
    assert!(matches!(late, Err(RefreshError::Invalid)));
}

#[tokio::test]
async fn whoever_is_not_active_neither_logs_in_nor_goes_on() {
    let world = World::new();
    let (_, ann) = ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    let (user_id, status) = (ann.id, UserStatus::Banned);
    world
        .memory
        .seed(Seed::UserStatus { user_id, status })
        .await;
    let refused = log_in(&world, "ann", PASSWORD).await;
    assert!(matches!(refused, Err(LogInError::NotActive)));
    let refreshed = refresh(&world, &tokens.refresh_token).await;
    assert!(matches!(refreshed, Err(RefreshError::Invalid)));
}

#[tokio::test]
async fn without_an_issuer_of_its_own_nobody_logs_in() {
    let world = World::new();
    ann(&world).await;
    let tokens = log_in(&world, "ann", PASSWORD).await.unwrap();
    let identity = world.restarted(vec![pepper(1)], None);
    let request = RequestInfo::default;
    let refused = identity.log_in(email("ann"), PASSWORD.into(), request());
    assert!(matches!(refused.await, Err(LogInError::Disabled)));
    let refused = identity.refresh(tokens.refresh_token, request());
    assert!(matches!(refused.await, Err(RefreshError::Disabled)));
}

#[tokio::test]
async fn an_identity_is_linked_to_whoever_proved_the_same_address() {
    let world = World::new();
    let (acme, ann) = ann(&world).await;
    let bob = people::stored_user(&world.memory, "bob").await;
    let seen = |subject: &str, name: &str, email_verified: bool| VerifiedIdentity {
        identity: ExternalIdentity {
            issuer: "https://issuer".to_owned(),
            subject: subject.to_owned(),
        },
        user_id: None,
        session_id: None,
        email: Some(email(name)),
        email_verified,
        name: None,
        org: None,
        expires_at: NOW + Duration::minutes(5),
    };
    for (seen, why) in [
        (seen("1", "ann", false), "the issuer does not vouch for it"),
        (seen("1", "bob", true), "he never proved that it is his"),
        (seen("1", "eve", true), "nobody has this address"),
    ] {
        assert_eq!(world.identity.link(&seen).await, Ok(None), "{why}");
    }
    assert!(!bob.email_verified);
    for _ in 0..2 {
        let linked = world.identity.link(&seen("1", "ann", true)).await.unwrap();
        assert_eq!(linked.map(|user| user.id), Some(ann.id));
    }
    assert_eq!(world.trail(acme).await, ["user.identity_linked"]);
}
