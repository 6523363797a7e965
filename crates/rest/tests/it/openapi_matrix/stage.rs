//! The two tenants, and how they are asked.

use std::{cell::RefCell, collections::BTreeSet};

use reqwest::RequestBuilder;
use serde_json::Value;

use super::{
    answer::Answer,
    contract::{Draft, Kind, Operation, Place, Slot, operations},
    world::{Credential, Side, build},
};
use crate::harness::TestApp;

/// Pages that are followed before a list is taken for endless.
const MOST_PAGES: usize = 100;

pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) operations: Vec<Operation>,
    pub(super) ann: Side,
    pub(super) bob: Side,
    /// What is Bob's and not Ann's: every id, slug, address and secret that his own answers show.
    pub(super) marks: BTreeSet<String>,
    /// What went wrong so far.
    findings: RefCell<BTreeSet<String>>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let document = serde_json::to_value(rest::openapi::document()).unwrap();
        let operations = operations(&document).unwrap_or_else(|unknown| {
            panic!("say in contract.rs what these hold: {unknown:#?}");
        });
        let app = TestApp::start().await;
        let (ann, bob) = (build(&app, "acme").await, build(&app, "bolt").await);
        let mut stage = Self {
            app,
            operations,
            ann,
            bob,
            marks: BTreeSet::new(),
            findings: RefCell::default(),
        };
        stage.marks = stage.marks_of_bob().await;
        stage
    }

    pub(super) fn secured(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.secured)
    }

    pub(super) fn found(&self, finding: String) {
        self.findings.borrow_mut().insert(finding);
    }

    /// Everything that went wrong, since this was last asked.
    pub(super) fn findings(&self) -> BTreeSet<String> {
        self.findings.take()
    }

    pub(super) fn request(
        &self,
        by: &Credential,
        operation: &Operation,
        draft: &Draft,
    ) -> RequestBuilder {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&draft.query)
            .finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("{}{mark}{query}", draft.path);
        let mut request = self.app.request(operation.method.clone(), &target);
        request = match by {
            Credential::Nobody => request,
            Credential::Token(token) => request.bearer_auth(token),
            Credential::Key(key) => request.header("X-API-Key", key),
        };
        for (name, value) in &draft.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &draft.body {
            request = request.json(body);
        }
        request
    }

    /// Asks, and holds the contract against the status of the answer.
    pub(super) async fn ask(
        &self,
        by: &Credential,
        operation: &Operation,
        draft: &Draft,
    ) -> Answer {
        self.send(operation, self.request(by, operation, draft))
            .await
    }

    pub(super) async fn send(&self, operation: &Operation, request: RequestBuilder) -> Answer {
        let answer = Answer::of(request.send().await.unwrap()).await;
        let Answer { status, text, .. } = &answer;
        if *status >= 500 {
            self.found(format!("{}: {status}: {text}", operation.id));
        } else if !operation.documents(*status) {
            self.found(format!(
                "{}: {status} is not in the contract: {text}",
                operation.id
            ));
        }
        answer
    }

    /// Every page of every read, as `by`.
    pub(super) async fn reads(&self, side: &Side, by: &Credential) -> Vec<(String, Answer)> {
        let mut answers = Vec::new();
        for operation in self.secured().filter(|operation| operation.method == "GET") {
            let mut draft = operation.draft(None, |_, kind| side.ids[&kind].clone());
            if operation.has(Place::Query, "limit") {
                draft.query.push(("limit".to_owned(), "2".to_owned()));
            }
            for page in 0.. {
                assert!(page < MOST_PAGES, "{} never ends", operation.id);
                let answer = self.ask(by, operation, &draft).await;
                let next = answer.body()["next_cursor"].as_str().map(str::to_owned);
                answers.push((operation.id.clone(), answer));
                draft.query.retain(|(name, _)| name != "cursor");
                match next {
                    Some(next) => draft.query.push(("cursor".to_owned(), next)),
                    None => break,
                }
            }
        }
        answers
    }

    async fn marks_of_bob(&self) -> BTreeSet<String> {
        let mut marks = Vec::new();
        for side in [&self.ann, &self.bob] {
            let answers = self.reads(side, &side.owner).await;
            let bodies: Vec<Value> = answers.iter().map(|(_, answer)| answer.body()).collect();
            marks.push(side.marks(&bodies));
        }
        &marks[1] - &marks[0]
    }
}

/// An id in `slot` where it is `probed`, and Ann's own elsewhere.
pub(super) fn probe<'a>(
    ann: &'a Side,
    probed: &'a Slot,
    value: &'a str,
) -> impl Fn(&Slot, Kind) -> String + 'a {
    move |slot, kind| {
        if slot.place == probed.place && slot.name == probed.name {
            value.to_owned()
        } else {
            ann.ids[&kind].clone()
        }
    }
}
