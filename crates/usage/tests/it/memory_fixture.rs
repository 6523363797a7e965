//! A tenant, and a clock that its tests set.

use std::sync::{Arc, Mutex};

use kernel::{Clock, PageRequest, Permission, Principal, Scope, TenantId, Zone};
use plinth_usage::{Books, Item, Options, Outcome, Receipt, Usage, UsageRequest, UsageRow};
use testkit::{
    Memory,
    contract::{Backend, fixture},
};
use time::{Duration, OffsetDateTime, macros::datetime};

/// When the tests begin: noon of a Monday in Kathmandu.
pub(crate) const START: OffsetDateTime = datetime!(2026-03-16 06:15 UTC);

/// A clock that stands where it was put.
pub(crate) struct Hand(Mutex<OffsetDateTime>);

impl Clock for Hand {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// Everything that an embedder holds.
pub(crate) struct Desk {
    pub(crate) memory: Memory,
    pub(crate) clock: Arc<Hand>,
    pub(crate) usage: Usage,
    pub(crate) books: Books,
    pub(crate) tenant_id: TenantId,
    pub(crate) by: Principal,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(Hand(Mutex::new(START)));
        let memory = Memory::with_clock(clock.clone());
        let mut tenant = fixture::tenant("acme");
        tenant.timezone = Zone::parse("timezone", "Asia/Kathmandu").unwrap();
        let tenant_id = tenant.id;
        memory
            .tenants()
            .run(Scope::tenant(tenant_id), move |store| {
                store.insert_tenant(&tenant)
            })
            .await
            .unwrap();
        Self {
            usage: Usage::new(memory.usage(), clock.clone()),
            books: Books::new(memory.ledger(), clock.clone()),
            by: Principal::system("test", Some(tenant_id)),
            memory,
            clock,
            tenant_id,
        }
    }

    pub(crate) fn wait(&self, duration: Duration) {
        *self.clock.0.lock().unwrap() += duration;
    }

    /// Somebody of the tenant with these permissions.
    pub(crate) fn with(&self, codes: &[&'static str]) -> Principal {
        let mut by = self.by.clone();
        by.grant.as_mut().unwrap().permissions =
            codes.iter().map(|code| Permission::of(code)).collect();
        by
    }

    /// Sends events in the plain form, and says with a letter what became of each.
    pub(crate) async fn send(&self, events: &[&str]) -> String {
        let items = events.iter().map(|text| Item::parse_plain(text)).collect();
        let taken = self.usage.ingest(&self.by, items, Options::default());
        letters(&taken.await.unwrap())
    }

    /// Every row of an answer, `limit` at a time.
    pub(crate) async fn read(&self, request: &UsageRequest, limit: u32) -> Vec<UsageRow> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest { limit, cursor };
            let answer = self.usage.usage(&self.by, request.clone(), page).await;
            let answer = answer.unwrap();
            rows.extend(answer.data);
            cursor = answer.next_cursor;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

/// A letter for what became of each event.
pub(crate) fn letters(receipt: &Receipt) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 'a',
        Outcome::Duplicate => 'd',
        Outcome::Conflict => 'c',
        Outcome::Rejected(_) => 'r',
    };
    let results = receipt.results.iter();
    results.map(|result| letter(&result.outcome)).collect()
}

/// The codes of what was refused, by place.
pub(crate) fn refusals(receipt: &Receipt) -> Vec<(usize, &'static str)> {
    let results = receipt.results.iter().enumerate();
    results
        .filter_map(|(place, result)| match &result.outcome {
            Outcome::Rejected(rejection) => Some((place, rejection.code)),
            _ => None,
        })
        .collect()
}

/// The first page.
pub(crate) const fn page(limit: u32) -> PageRequest {
    PageRequest {
        limit,
        cursor: None,
    }
}
