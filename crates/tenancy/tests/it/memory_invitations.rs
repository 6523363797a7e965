//! A person is invited and joins, or does not.

use kernel::{Email, LimitReached};
use plinth_tenancy::{
    InvitationStatus,
    invitation::{AcceptError, InviteError},
};
use time::Duration;

use crate::memory::{Person, World};

/// A tenant on the plan `free`, which has three seats; Ann, its owner, has one.
async fn acme(world: &World) -> (kernel::Principal, Person) {
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", "free", &ann).await;
    (world.within(acme, &ann).await, world.person("bob").await)
}

fn email(name: &str) -> Email {
    Email::parse("email", &format!("{name}@example.com")).unwrap()
}

#[tokio::test]
async fn an_invited_person_joins_with_the_role_that_was_offered() {
    let world = World::new();
    let (ann, bob) = acme(&world).await;
    let joined = world.join(&ann, &bob, "developer").await;
    let grant = joined.grant.unwrap();
    assert_eq!(grant.roles, ["developer"]);
    let invite = world
        .tenancy
        .invite(&ann, bob.email.clone(), "viewer".to_owned());
    assert!(matches!(
        invite.await,
        Err(InviteError::AlreadyMember { email }) if email == "bob@example.com"
    ));
    let trail = world.trail(grant.tenant_id).await;
    let expected = [
        "invitation.accepted",
        "invitation.created",
        "member.added",
        "member.added",
        "tenant.created",
    ];
    assert_eq!(trail, expected);
}

#[tokio::test]
async fn a_token_is_good_for_one_person_once() {
    let world = World::new();
    let (ann, bob) = acme(&world).await;
    let eve = world.person("eve").await;
    let tenancy = &world.tenancy;
    let invited = tenancy.invite(&ann, bob.email.clone(), "member".to_owned());
    let token = tenancy.token_of(&invited.await.unwrap());
    let accept = |who: &Person, token: &str| {
        let (by, email, token) = (who.alone(), who.email.as_str().to_owned(), token.to_owned());
        async move { tenancy.accept(&by, email, &token).await }
    };
    assert!(matches!(
        accept(&eve, &token).await,
        Err(AcceptError::ForAnother)
    ));
    assert!(matches!(
        accept(&bob, "pli_nonsense").await,
        Err(AcceptError::NotFound)
    ));
    let first = accept(&bob, &token).await.unwrap();
    assert_eq!(accept(&bob, &token).await.unwrap(), first, "again is once");
    let (tenant_id, bobs_id) = (first.id, bob.id);
    let left = world.run(kernel::Scope::tenant(tenant_id), move |store| {
        store.remove_membership(tenant_id, bobs_id)
    });
    left.await.unwrap();
    assert!(matches!(accept(&bob, &token).await, Err(AcceptError::Used)));
}

#[tokio::test]
async fn an_invitation_that_is_over_or_was_taken_back_lets_nobody_in() {
    let world = World::new();
    let (ann, bob) = acme(&world).await;
    let tenancy = &world.tenancy;
    let accept = |token: String| {
        let (by, email) = (bob.alone(), bob.email.as_str().to_owned());
        async move { tenancy.accept(&by, email, &token).await }
    };
    let invited = tenancy.invite(&ann, bob.email.clone(), "member".to_owned());
    let first = invited.await.unwrap();
    world.clock.advance(Duration::days(7));
    let over = accept(tenancy.token_of(&first)).await;
    assert!(matches!(over, Err(AcceptError::Expired)), "{over:?}");

    let second = tenancy.resend(&ann, first.id).await.unwrap();
    let old = accept(tenancy.token_of(&first)).await;
    assert!(matches!(old, Err(AcceptError::Superseded)), "{old:?}");
    let revoked = tenancy.revoke(&ann, first.id).await.unwrap();
    assert_eq!(revoked.status, InvitationStatus::Revoked);
    let late = accept(tenancy.token_of(&second)).await;
    assert!(matches!(late, Err(AcceptError::Revoked)), "{late:?}");
    let again = tenancy.resend(&ann, first.id).await;
    assert!(matches!(
        again,
        Err(InviteError::NotPending(InvitationStatus::Revoked))
    ));
}

#[tokio::test]
async fn an_expired_invitation_is_not_sent_to_whoever_was_invited_anew() {
    let world = World::new();
    let (ann, bob) = acme(&world).await;
    let tenancy = &world.tenancy;
    let invite = || tenancy.invite(&ann, bob.email.clone(), "member".to_owned());
    let first = invite().await.unwrap();
    assert!(matches!(
        invite().await,
        Err(InviteError::AlreadyInvited { .. })
    ));
    world.clock.advance(Duration::days(8));
    let second = invite().await.unwrap();
    let resent = tenancy.resend(&ann, first.id).await;
    assert!(
        matches!(resent, Err(InviteError::AlreadyInvited { .. })),
        "{resent:?}"
    );
    let email = bob.email.as_str().to_owned();
    let token = tenancy.token_of(&second);
    tenancy.accept(&bob.alone(), email, &token).await.unwrap();
    let resent = tenancy.resend(&ann, first.id).await;
    assert!(
        matches!(resent, Err(InviteError::AlreadyMember { .. })),
        "{resent:?}"
    );
}

#[tokio::test]
async fn members_and_open_invitations_share_the_seats_of_the_plan() {
    let world = World::new();
    let (ann, bob) = acme(&world).await;
    let tenancy = &world.tenancy;
    let invite = |name: &str| tenancy.invite(&ann, email(name), "member".to_owned());
    world.join(&ann, &bob, "member").await;
    let cid = invite("cid").await.unwrap();
    let full = LimitReached {
        limit: "max_members".to_owned(),
        max: 3,
        used: 3,
        plan: "free".to_owned(),
    };
    let refused = invite("dan").await;
    assert!(
        matches!(&refused, Err(InviteError::Limit(limit)) if *limit == full),
        "{refused:?}"
    );
    tenancy.revoke(&ann, cid.id).await.unwrap();
    invite("dan").await.unwrap();
    assert!(matches!(invite("eve").await, Err(InviteError::Limit(_))));
    world.clock.advance(Duration::days(7));
    invite("eve").await.unwrap();
    let trail = world.trail(ann.tenant_id().unwrap()).await;
    let created = trail
        .iter()
        .filter(|action| *action == "invitation.created");
    assert_eq!(created.count(), 4, "a refusal leaves nothing");
}

#[tokio::test]
async fn many_who_invite_at_once_share_the_seats() {
    let world = World::new();
    let (ann, _) = acme(&world).await;
    let inviting: Vec<_> = (0..8)
        .map(|number| {
            let (tenancy, by) = (world.tenancy.clone(), ann.clone());
            tokio::spawn(async move {
                let email = email(&format!("guest-{number}"));
                tenancy.invite(&by, email, "member".to_owned()).await
            })
        })
        .collect();
    let mut invited = 0;
    for outcome in inviting {
        match outcome.await.unwrap() {
            Ok(_) => invited += 1,
            Err(error) => assert!(matches!(error, InviteError::Limit(_)), "{error:?}"),
        }
    }
    assert_eq!(invited, 2);
}
