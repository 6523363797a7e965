//! Who is refused, and how.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;

use super::{
    contract::{Kind, Operation, Place},
    stage::Stage,
    world::Credential,
};

/// What somebody without a single permission may do, and why.
const FOR_EVERYBODY: [(&str, &str); 6] = [
    ("me", "who the caller is"),
    ("permissions", "a catalogue, the same for everybody"),
    ("plans_list", "a catalogue, the same for everybody"),
    ("tenants_list", "the caller's own memberships"),
    ("tenants_create", "a tenant of the caller's own"),
    ("invitations_accept", "the token says who may"),
];

#[actix_web::test]
async fn without_a_credential_every_operation_answers_the_same() {
    let stage = Stage::set().await;
    let mut first = None;
    for operation in stage.secured() {
        let draft = operation.draft(None, |_, kind| stage.ann.ids[&kind].clone());
        let answer = stage.ask(&Credential::Nobody, operation, &draft).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (401, "identity.unauthenticated"),
            "{}",
            operation.id
        );
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(first.differs(&answer), None, "{}", operation.id);
    }
    assert_eq!(stage.findings(), [].into());
}

#[actix_web::test]
async fn without_a_permission_every_operation_is_forbidden() {
    let stage = Stage::set().await;
    let mut open = BTreeSet::new();
    for (by, credential) in &stage.ann.powerless {
        for operation in stage.secured() {
            let draft = operation.draft(None, |_, kind| stage.ann.ids[&kind].clone());
            let answer = stage.ask(credential, operation, &draft).await;
            let refused = matches!(
                &*answer.code(),
                "identity.forbidden" | "identity.not_a_user"
            );
            if !(refused && answer.status == 403) {
                open.insert(operation.id.clone());
                assert!(
                    FOR_EVERYBODY.iter().any(|(id, _)| *id == operation.id),
                    "{by} {}: {answer:?}",
                    operation.id
                );
            }
        }
    }
    assert_eq!(open, FOR_EVERYBODY.map(|(id, _)| id.to_owned()).into());
    assert_eq!(stage.findings(), [].into());
}

/// Asks with `headers` in the place of the operation's own.
async fn naming(
    stage: &Stage,
    by: &Credential,
    operation: &Operation,
    headers: &[(&str, &str)],
) -> super::answer::Answer {
    let draft = operation.draft(None, |_, kind| stage.ann.ids[&kind].clone());
    let mut names = HeaderMap::new();
    for (name, value) in headers {
        names.append(
            name.parse::<reqwest::header::HeaderName>().unwrap(),
            value.parse().unwrap(),
        );
    }
    stage
        .send(
            operation,
            stage.request(by, operation, &draft).headers(names),
        )
        .await
}

fn is_of_tenant(operation: &Operation) -> bool {
    operation.path.starts_with("/v1/tenants/{") && operation.has(Place::Path, "id")
}

#[actix_web::test]
async fn two_answers_to_which_tenant_are_one_too_many() {
    let stage = Stage::set().await;
    let (anns, bobs) = (
        &*stage.ann.ids[&Kind::Tenant],
        &*stage.bob.ids[&Kind::Tenant],
    );
    let (owner, key) = (&stage.ann.owner, &stage.ann.key);
    let mut asked = 0;
    for operation in stage.secured() {
        for name in ["X-Tenant-ID", "X-Workspace-ID"] {
            let mut cases = vec![
                ("key and header", key, vec![(name, bobs)]),
                (
                    "two headers",
                    owner,
                    vec![("X-Tenant-ID", anns), ("X-Workspace-ID", bobs)],
                ),
                ("one header twice", owner, vec![(name, anns), (name, bobs)]),
            ];
            if is_of_tenant(operation) {
                cases.push(("path and header", owner, vec![(name, bobs)]));
            }
            for (case, by, headers) in cases {
                let answer = naming(&stage, by, operation, &headers).await;
                let told = format!("{} {case}: {}", operation.id, answer.text);
                assert_eq!(
                    (answer.status, &*answer.code()),
                    (400, "tenancy.ambiguous"),
                    "{told}"
                );
                assert!(answer.shows(&stage.marks).is_empty(), "{told}");
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(stage.findings(), [].into());
}

#[actix_web::test]
async fn a_tenant_that_one_is_not_in_is_as_one_that_does_not_exist() {
    let stage = Stage::set().await;
    let bobs = &stage.bob.ids[&Kind::Tenant];
    for operation in stage.secured().filter(|operation| !is_of_tenant(operation)) {
        for name in ["X-Tenant-ID", "X-Workspace-ID"] {
            let theirs = naming(&stage, &stage.ann.owner, operation, &[(name, bobs)]).await;
            let nobodys = "01890a5d-ac96-774b-bcce-b302099a8057";
            let nobodys = naming(&stage, &stage.ann.owner, operation, &[(name, nobodys)]).await;
            assert_eq!(
                (theirs.status, &*theirs.code()),
                (404, "tenancy.not_found"),
                "{}",
                operation.id
            );
            assert_eq!(theirs.differs(&nobodys), None, "{}", operation.id);
        }
    }
    assert_eq!(stage.findings(), [].into());
}
