//! A key is made, shown, rotated and ended.

use kernel::{Name, PageRequest, Permission, PermissionSet, Principal, Scope, TenantId};
use plinth_identity::{
    ApiKey, CreateKeyError, Identity, KeyMode, KeyText, NewKey, PermissionQuery, RotateKeyError,
    User, VerifyCode, api_key,
};
use testkit::contract::{fixture, people};
use time::Duration;

use crate::memory::{NOW, World, pepper};

fn new_key(name: &str, scopes: &[&str]) -> NewKey {
    NewKey {
        name: Name::parse("name", name).unwrap(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        project_id: None,
        environment: None,
        expires_at: None,
    }
}

async fn create(world: &World, by: &Principal, new: NewKey) -> (ApiKey, KeyText) {
    let made = world.identity.create_key(KeyMode::Live, new, by).await;
    made.unwrap()
}

async fn verify(identity: &Identity, by: &Principal, text: &KeyText) -> VerifyCode {
    let verified = identity.verify_key(text.reveal(), None, by).await;
    verified.unwrap().code
}

fn set(codes: &[&'static str]) -> PermissionSet {
    codes.iter().copied().map(Permission::of).collect()
}

/// Ann owns Acme, and Bob, who is a developer there, makes a key.
async fn bobs_key(world: &World) -> (TenantId, Principal, User, ApiKey, KeyText) {
    let (acme, ann) = world.acme().await;
    let bob = people::stored_member(&world.memory, acme, "bob", &["developer"]).await;
    let by = world.within(acme, &bob).await;
    let (key, text) = create(world, &by, new_key("ci", &["project.read", "usage.write"])).await;
    (acme, world.within(acme, &ann).await, bob, key, text)
}

#[tokio::test]
async fn a_key_is_good_for_its_scopes_in_its_own_tenant() {
    let world = World::new();
    let (acme, ann) = world.acme().await;
    let by = world.within(acme, &ann).await;
    let (key, text) = create(&world, &by, new_key("ci", &["project.read"])).await;
    let ask = |by: &Principal, text: &str, wanted: Option<&str>| {
        let wanted = wanted.map(|wanted| PermissionQuery::parse("permissions", wanted).unwrap());
        let (identity, by, text) = (world.identity.clone(), by.clone(), text.to_owned());
        async move { identity.verify_key(&text, wanted, &by).await.unwrap() }
    };
    let valid = ask(&by, text.reveal(), Some("project.read OR project.write")).await;
    assert_eq!(valid.code, VerifyCode::Valid);
    assert_eq!(valid.key, Some((acme, key.id, set(&["project.read"]))));
    let short = ask(&by, text.reveal(), Some("project.write")).await;
    assert_eq!(short.code, VerifyCode::InsufficientPermissions);

    let unknown = KeyText::generate(KeyMode::Live);
    for text in ["", "plk_live_nonsense", unknown.reveal()] {
        assert_eq!(ask(&by, text, None).await.code, VerifyCode::NotFound);
    }
    let other = fixture::stored_tenant(&world.memory, "other").await.id;
    let eve = people::stored_member(&world.memory, other, "eve", &["owner"]).await;
    let elsewhere = ask(&world.within(other, &eve).await, text.reveal(), None).await;
    assert_eq!(elsewhere.code, VerifyCode::NotFound);
    assert_eq!(elsewhere.key, None);
    assert_eq!(world.trail(acme).await, ["api_key.created"]);
}

#[tokio::test]
async fn a_key_never_exceeds_whoever_made_it() {
    let world = World::new();
    let (acme, ann) = world.acme().await;
    let bob = people::stored_member(&world.memory, acme, "bob", &["developer"]).await;
    let by = world.within(acme, &bob).await;
    let over = new_key("over", &["billing.read"]);
    let over = world.identity.create_key(KeyMode::Live, over, &by).await;
    assert!(
        matches!(&over, Err(CreateKeyError::ExceedsCreator(code)) if code.as_str() == "billing.read"),
        "{over:?}"
    );
    let scopes = ["project.read", "project.write"];
    let (_, text) = create(&world, &by, new_key("ci", &scopes)).await;
    let permissions = async || {
        let found = world.identity.key_access(&text).await.unwrap();
        found.map(|record| record.permissions())
    };
    let all = set(&["project.read", "project.write"]);
    assert_eq!(permissions().await, Some(all));
    people::join(&world.memory, acme, bob.id, &["viewer"], NOW).await;
    assert_eq!(permissions().await, Some(set(&["project.read"])));
    people::leave(&world.memory, acme, bob.id).await;
    assert_eq!(permissions().await, None);
    let ann = world.within(acme, &ann).await;
    assert_eq!(
        verify(&world.identity, &ann, &text).await,
        VerifyCode::Revoked
    );
}

#[tokio::test]
async fn a_key_ends_when_it_is_revoked_and_gives_its_name_back() {
    let world = World::new();
    let (_, ann, _, key, text) = bobs_key(&world).await;
    let again = new_key("ci", &[]);
    let taken = world
        .identity
        .create_key(KeyMode::Live, again.clone(), &ann)
        .await;
    assert!(matches!(taken, Err(CreateKeyError::NameTaken)));
    let reason = Some("leaked".to_owned());
    let revoked = world
        .identity
        .revoke_key(key.id, reason, &ann)
        .await
        .unwrap();
    assert_eq!(revoked.revoked_reason.as_deref(), Some("leaked"));
    world.clock.advance(Duration::hours(1));
    let twice = world.identity.revoke_key(key.id, None, &ann).await;
    assert_eq!(twice.unwrap(), revoked, "the first end stays");
    assert_eq!(
        verify(&world.identity, &ann, &text).await,
        VerifyCode::Revoked
    );
    let signed_in = world.identity.key_access(&text).await.unwrap();
    assert!(signed_in.is_none());
    let (second, _) = create(&world, &ann, again).await;
    let listed = world
        .identity
        .keys(PageRequest::first(), &ann)
        .await
        .unwrap();
    assert_eq!(listed.data, [second, revoked], "newest first");
}

#[tokio::test]
async fn a_key_ends_with_its_time() {
    let world = World::new();
    let (acme, ann) = world.acme().await;
    let by = world.within(acme, &ann).await;
    let new = NewKey {
        expires_at: Some(NOW + Duration::days(1)),
        ..new_key("ci", &["project.read"])
    };
    let past = NewKey {
        expires_at: Some(NOW),
        ..new.clone()
    };
    let refused = world.identity.create_key(KeyMode::Live, past, &by).await;
    assert!(matches!(
        refused,
        Err(CreateKeyError::Invalid(error)) if error.code == "in_the_past"
    ));
    let (_, text) = create(&world, &by, new).await;
    assert_eq!(verify(&world.identity, &by, &text).await, VerifyCode::Valid);
    world.clock.advance(Duration::days(1));
    assert_eq!(
        verify(&world.identity, &by, &text).await,
        VerifyCode::Expired
    );
}

#[tokio::test]
async fn a_rotated_key_works_on_for_as_long_as_was_agreed() {
    let world = World::new();
    let (acme, ann, _, old, old_text) = bobs_key(&world).await;
    let identity = &world.identity;
    let (new, new_text) = identity.rotate_key(old.id, 3600, &ann).await.unwrap();
    assert_eq!((new.rotated_from, &new.name), (Some(old.id), &old.name));
    assert_eq!(new.scopes, old.scopes);
    let twice = identity.rotate_key(old.id, 0, &ann).await;
    assert!(matches!(twice, Err(RotateKeyError::NotLive)));
    let states = async || {
        let old = verify(identity, &ann, &old_text).await;
        (old, verify(identity, &ann, &new_text).await)
    };
    assert_eq!(states().await, (VerifyCode::Valid, VerifyCode::Valid));
    world.clock.advance(Duration::hours(1));
    assert_eq!(states().await, (VerifyCode::Revoked, VerifyCode::Valid));
    assert_eq!(
        world.trail(acme).await,
        ["api_key.created", "api_key.rotated"]
    );
}

#[tokio::test]
async fn keys_of_a_leaver_end_with_a_trace() {
    let world = World::new();
    let (acme, ann, bob, key, _) = bobs_key(&world).await;
    let (scope, by, leaver) = (Scope::of(&ann), ann.clone(), bob.id);
    let ended = world.run(scope, move |store| {
        api_key::revoke_of_leaver(store, acme, leaver, &by, NOW)
    });
    ended.await.unwrap();
    let ended = world.identity.key(key.id, &ann).await.unwrap();
    assert_eq!(ended.revoked_at, Some(NOW));
    assert_eq!(
        world.trail(acme).await,
        ["api_key.created", "api_key.revoked"]
    );
}

#[tokio::test]
async fn a_key_moves_to_the_new_pepper_when_it_is_used() {
    let world = World::new();
    let (acme, ann) = world.acme().await;
    let by = world.within(acme, &ann).await;
    let (_, used) = create(&world, &by, new_key("used", &["project.read"])).await;
    let (_, unused) = create(&world, &by, new_key("unused", &["project.read"])).await;
    let both = world.restarted(vec![pepper(1), pepper(2)], None);
    assert_eq!(verify(&both, &by, &used).await, VerifyCode::Valid);
    let new_only = world.restarted(vec![pepper(2)], None);
    assert_eq!(verify(&new_only, &by, &used).await, VerifyCode::Valid);
    assert_eq!(verify(&new_only, &by, &unused).await, VerifyCode::NotFound);
}

#[tokio::test]
async fn uses_are_written_together_and_at_most_once_a_minute() {
    let world = World::new();
    let (_, ann, _, key, _) = bobs_key(&world).await;
    let identity = &world.identity;
    let last_used = async || identity.key(key.id, &ann).await.unwrap().last_used_at;
    identity.note_key_use(&key);
    assert_eq!(last_used().await, None);
    assert_eq!(identity.flush_key_uses().await, Ok(1));
    assert_eq!(last_used().await, Some(NOW));
    world.clock.advance(Duration::seconds(30));
    identity.note_key_use(&key);
    assert_eq!(identity.flush_key_uses().await, Ok(0));
    world.clock.advance(Duration::seconds(30));
    assert_eq!(identity.flush_key_uses().await, Ok(1));
    assert_eq!(last_used().await, Some(NOW + Duration::seconds(30)));
}
