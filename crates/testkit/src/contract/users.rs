//! `identity::Store`: people, their passwords, and what identity providers call them.

use identity::{Email, ExternalIdentity, PasswordHash, User, UserStatus};
use kernel::{Scope, StoreError, TenantId, UserId};

use super::{Backend, fixture, people, run};

async fn read(backend: &impl Backend, scope: Scope, id: UserId) -> Option<User> {
    run(backend.identity(), scope, move |store| store.user(id))
        .await
        .unwrap()
}

async fn credential(backend: &impl Backend, email: &Email) -> Option<(User, Option<PasswordHash>)> {
    let email = email.clone();
    run(backend.identity(), Scope::global(), move |store| {
        store.credential(&email)
    })
    .await
    .unwrap()
}

/// Every field survives, with a name or without one.
pub async fn a_user_is_read_back_as_they_were_written(backend: &impl Backend) {
    let mut ann = people::user("ann");
    ann.email_verified = true;
    ann.status = UserStatus::Waitlist;
    ann.last_tenant_id = Some(TenantId::new(fixture::at(0)));
    let mut bob = people::user("bob");
    bob.name = None;
    for user in [ann, bob] {
        let row = user.clone();
        let written = run(backend.identity(), Scope::user(user.id), move |store| {
            store.insert_user(&row)
        });
        assert_eq!(written.await, Ok(()));
        let found = read(backend, Scope::user(user.id), user.id).await;
        assert_eq!(found, Some(user));
    }
}

/// A second person of an address is a conflict that names the constraint.
pub async fn an_address_belongs_to_one_person(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await;
    let second = User {
        email: ann.email,
        ..people::user("second")
    };
    let inserted = run(backend.identity(), Scope::user(second.id), move |store| {
        store.insert_user(&second)
    });
    let inserted = inserted.await;
    assert!(
        matches!(&inserted, Err(error) if error.conflicts_with("users_email_key")),
        "{inserted:?}"
    );
}

/// Oneself, and those who are members of the tenant in scope, until they are removed.
pub async fn a_person_sees_themselves_and_their_fellows(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let owner = people::stored_member(backend, tenant, "owner", &["owner"]).await;
    let ann = people::stored_member(backend, tenant, "ann", &["member"]).await;
    let within = |tenant_id: TenantId| Scope {
        tenant_id: Some(tenant_id),
        ..Scope::user(owner.id)
    };
    for (scope, sees_ann) in [
        (Scope::user(ann.id), true),
        (Scope::tenant(tenant), true),
        (within(tenant), true),
        (within(other), false),
        (Scope::user(owner.id), false),
        (Scope::global(), false),
    ] {
        let expected = sees_ann.then(|| ann.clone());
        assert_eq!(
            read(backend, scope.clone(), ann.id).await,
            expected,
            "{scope:?}"
        );
    }
    people::leave(backend, tenant, ann.id).await;
    assert_eq!(read(backend, within(tenant), ann.id).await, None);
    assert_eq!(read(backend, Scope::user(ann.id), ann.id).await, Some(ann));
}

/// With the password hash that was set last, if any was.
pub async fn a_credential_is_found_before_anybody_is_known(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await;
    let bob = people::stored_user(backend, "bob").await;
    assert_eq!(
        credential(backend, &ann.email).await,
        Some((ann.clone(), None))
    );
    for text in ["$argon2id$first", "$argon2id$second"] {
        let (id, hash) = (ann.id, PasswordHash::stored(text.to_owned()));
        let kept = hash.clone();
        let set = run(backend.identity(), Scope::user(id), move |store| {
            store.set_password(id, &kept, fixture::at(1))
        });
        assert_eq!(set.await, Ok(()));
        let found = credential(backend, &ann.email).await;
        assert_eq!(found, Some((ann.clone(), Some(hash))));
    }
    assert_eq!(credential(backend, &bob.email).await, Some((bob, None)));
    let unknown = people::user("unknown").email;
    assert_eq!(credential(backend, &unknown).await, None);
}

/// A second link of one name is a conflict, to oneself or to somebody else. The same subject of another issuer is another name.
pub async fn an_identity_belongs_to_one_person(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let bob = people::stored_user(backend, "bob").await.id;
    let link = |user: UserId, issuer: &str| {
        let identity = ExternalIdentity {
            issuer: issuer.to_owned(),
            subject: "1".to_owned(),
        };
        run(backend.identity(), Scope::user(user), move |store| {
            store.link_identity(user, &identity, fixture::at(1))
        })
    };
    assert_eq!(link(ann, "https://a").await, Ok(()));
    assert_eq!(link(bob, "https://b").await, Ok(()));
    for user in [ann, bob] {
        let linked = link(user, "https://a").await;
        assert!(
            matches!(&linked, Err(error) if error.conflicts_with("user_identities_pkey")),
            "{linked:?}"
        );
    }
}

/// What is a person's own is written in their scope, and in nobody else's; a tenant in common does not matter.
pub async fn nobody_writes_for_another_person(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let ann = people::stored_member(backend, tenant, "ann", &["owner"]).await;
    let bob = people::stored_member(backend, tenant, "bob", &["member"]).await;
    let of_bob = Scope {
        tenant_id: Some(tenant),
        ..Scope::user(bob.id)
    };
    let identity = ExternalIdentity {
        issuer: "https://a".to_owned(),
        subject: "1".to_owned(),
    };
    for scope in [of_bob, Scope::tenant(tenant), Scope::global()] {
        let id = ann.id;
        let newcomer = people::user("newcomer");
        let inserted = run(backend.identity(), scope.clone(), move |store| {
            store.insert_user(&newcomer)
        });
        let name = identity.clone();
        let linked = run(backend.identity(), scope.clone(), move |store| {
            store.link_identity(id, &name, fixture::at(1))
        });
        let set = run(backend.identity(), scope.clone(), move |store| {
            let hash = PasswordHash::stored("$argon2id$planted".to_owned());
            store.set_password(id, &hash, fixture::at(1))
        });
        for outcome in [inserted.await, linked.await, set.await] {
            assert!(
                matches!(outcome, Err(StoreError::Unexpected(_))),
                "{outcome:?}"
            );
        }
        let moved = run(backend.identity(), scope, move |store| {
            store.set_last_tenant(id, tenant)
        });
        assert_eq!(moved.await, Ok(()), "what is not there is no error");
    }
    assert_eq!(credential(backend, &ann.email).await, Some((ann, None)));
}

/// Remembered, and nothing else about the person changes.
pub async fn the_last_tenant_is_remembered(backend: &impl Backend) {
    let mut ann = people::stored_user(backend, "ann").await;
    let id = ann.id;
    for slug in ["acme", "other"] {
        let tenant = fixture::stored_tenant(backend, slug).await.id;
        let moved = run(backend.identity(), Scope::user(id), move |store| {
            store.set_last_tenant(id, tenant)
        });
        assert_eq!(moved.await, Ok(()));
        ann.last_tenant_id = Some(tenant);
        assert_eq!(read(backend, Scope::user(id), id).await, Some(ann.clone()));
    }
}
