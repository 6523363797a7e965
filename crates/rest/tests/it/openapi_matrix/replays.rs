//! `Idempotency-Key` on every operation that takes it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    answer::Answer,
    contract::{Kind, Operation, Place},
    stage::Stage,
    world::{Credential, Side},
};

/// Answers that are not kept: the request may be tried again under the same key.
const NOT_KEPT: [u16; 2] = [401, 409];

/// Operations whose answers are not kept: the credential in the body is nobody's, and the reservation was settled before.
const TRIED_AGAIN: [&str; 4] = [
    "auth_login_log_in",
    "auth_logout_log_out",
    "auth_refresh",
    "quota_reservations_release",
];

/// Operations that are refused for good: Ann is no operator, and has no invitation. All others are carried out.
const REFUSED: [&str; 2] = ["admin_tenants_transition", "invitations_accept"];

/// The tenant's own id, or a name under which something can be made.
fn fresh(side: &Side, operation: &Operation, kind: Kind) -> String {
    match (&*operation.id, kind) {
        ("invitations_create", Kind::Email) => "dora@example.org".to_owned(),
        ("meters_create", Kind::Meter) => "fresh_meter".to_owned(),
        ("events_ingest", Kind::Event) => "fresh-event".to_owned(),
        ("quota_reservations_reserve", Kind::Entitlement) => "tasks_per_month".to_owned(),
        _ => side.ids[&kind].clone(),
    }
}

async fn ask_once(stage: &Stage, side: &Side, operation: &Operation) -> Answer {
    let mut draft = operation.draft(None, |_, kind| fresh(side, operation, kind));
    draft.headers.push((
        "Idempotency-Key".to_owned(),
        format!("once-{}", operation.id),
    ));
    let nobody = Credential::Nobody;
    let by = if operation.secured {
        &side.owner
    } else {
        &nobody
    };
    stage.ask(by, operation, &draft).await
}

/// The body without what is shown once.
fn without_secrets(answer: &Answer) -> Value {
    let mut body = answer.body();
    if let Some(fields) = body.as_object_mut() {
        for secret in [
            "key",
            "token",
            "access_token",
            "refresh_token",
            "request_id",
        ] {
            if fields.get(secret).is_some_and(Value::is_string) {
                fields.insert(secret.to_owned(), json!(null));
            }
        }
    }
    body
}

/// What became of a request that was sent twice under one key.
enum Twice {
    TriedAgain,
    Refused,
    Done,
}

async fn ask_twice(stage: &Stage, operation: &Operation) -> Twice {
    let first = ask_once(stage, &stage.ann, operation).await;
    let second = ask_once(stage, &stage.ann, operation).await;
    let is_replay = |answer: &Answer| answer.headers.contains_key("idempotent-replayed");
    let kept = !NOT_KEPT.contains(&first.status);
    assert_eq!(
        (is_replay(&first), is_replay(&second)),
        (false, kept),
        "{} {first:?}",
        operation.id
    );
    assert_eq!(
        first.status, second.status,
        "{}: {}",
        operation.id, second.text
    );
    assert_eq!(
        without_secrets(&first),
        without_secrets(&second),
        "{}",
        operation.id
    );
    if operation.secured {
        let bobs = ask_once(stage, &stage.bob, operation).await;
        assert!(!is_replay(&bobs), "{}: {}", operation.id, bobs.text);
        assert_eq!(bobs.status, first.status, "{}: {}", operation.id, bobs.text);
        let anns = bobs.shows(stage.ann.ids.values());
        assert!(anns.is_empty(), "{} shows {anns:?}", operation.id);
    }
    match (kept, first.status) {
        (false, _) => Twice::TriedAgain,
        (true, 400..) => Twice::Refused,
        (true, _) => Twice::Done,
    }
}

#[actix_web::test]
async fn the_same_key_gets_the_same_answer_and_another_persons_gets_their_own() {
    let stage = Stage::set().await;
    let (mut tried_again, mut refused, mut done) = (BTreeSet::new(), BTreeSet::new(), 0);
    let takes_key = |operation: &&Operation| operation.has(Place::Header, "Idempotency-Key");
    let mut operations: Vec<&Operation> = stage.operations.iter().filter(takes_key).collect();
    // What ends a thing comes last, so that the others find it as it was.
    let ends = |operation: &&Operation| {
        operation.id.ends_with("revoke") || operation.id.ends_with("release")
    };
    operations.sort_by_key(ends);
    for operation in operations {
        match ask_twice(&stage, operation).await {
            Twice::TriedAgain => {
                tried_again.insert(&*operation.id);
            }
            Twice::Refused => {
                refused.insert(&*operation.id);
            }
            Twice::Done => done += 1,
        }
    }
    assert_eq!(tried_again, TRIED_AGAIN.into());
    assert_eq!(refused, REFUSED.into());
    assert!(done > 15, "{done}");
    assert_eq!(stage.findings(), [].into());
}
