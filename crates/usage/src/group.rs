//! Taking in the events of many requests, of any tenants, in one transaction: a commit costs the same for one event as for thousands.
//!
//! Each request is answered as if it had come alone. Strict requests do come alone, by [`ingest`](crate::ingest::ingest): all or nothing is
//! a promise about a transaction.

use std::{borrow::Borrow, collections::BTreeMap};

use kernel::{Scope, StoreError, TenantId};

use crate::{
    GroupStore, Receipt,
    ingest::{Admitted, Batch, Names},
    ports::{TenantEvents, Wanted},
    sift::{Fresh, Pending},
};

/// Requests of one tenant, each with its place among all.
struct OfTenant<'a> {
    tenant_id: TenantId,
    requests: Vec<(usize, &'a Admitted)>,
}

/// The scope of the transaction that takes `requests` in: that of the tenant whom all are of, so that no statement has to enter and leave it
/// again, or of no tenant.
pub fn scope<R: Borrow<Admitted>>(requests: &[R]) -> Scope {
    let mut tenants = requests.iter().map(|request| request.borrow().tenant_id);
    match tenants.next() {
        Some(first) if tenants.all(|other| other == first) => Scope::tenant(first),
        _ => Scope::global(),
    }
}

/// Takes the events of `requests` in, in a transaction of their [`scope`]. Answers for each request, in order.
///
/// # Errors
/// [`StoreError`]: nothing of any request was written.
pub fn ingest_group<R: Borrow<Admitted>>(
    store: &mut dyn GroupStore,
    requests: &[R],
) -> Result<Vec<Receipt>, StoreError> {
    let count = requests.len();
    let tenants = by_tenant(requests.iter().map(Borrow::borrow));
    let wanted: Vec<Wanted> = tenants.iter().map(OfTenant::wanted).collect();
    let batches = store.open_batches(&wanted)?;
    if batches.len() != tenants.len() {
        return Err(StoreError::Unexpected(
            "the store did not open a batch for each tenant".to_owned(),
        ));
    }
    let mut sifted = Vec::with_capacity(tenants.len());
    let mut events = Vec::with_capacity(tenants.len());
    for (tenant, batch) in tenants.into_iter().zip(&batches) {
        let tenant_id = tenant.tenant_id;
        let (fresh, pending) = tenant.sift(batch);
        events.push((tenant_id, fresh));
        sifted.push(pending);
    }
    let to_write: Vec<TenantEvents<'_>> = events
        .iter()
        .zip(&batches)
        .map(|((tenant_id, fresh), batch)| TenantEvents {
            tenant_id: *tenant_id,
            received_at: batch.received_at,
            events: &fresh.events,
        })
        .collect();
    let written = store.append_batches(&to_write)?;
    let mut receipts: Vec<(usize, Receipt)> = Vec::with_capacity(count);
    for (((_, fresh), pending), written) in events.iter().zip(sifted).zip(&written) {
        for (place, pending) in pending {
            let results = fresh.settle(pending, written)?;
            receipts.push((place, Receipt { results }));
        }
    }
    receipts.sort_by_key(|(place, _)| *place);
    Ok(receipts.into_iter().map(|(_, receipt)| receipt).collect())
}

fn by_tenant<'a>(requests: impl Iterator<Item = &'a Admitted>) -> Vec<OfTenant<'a>> {
    let mut tenants: BTreeMap<TenantId, Vec<(usize, &Admitted)>> = BTreeMap::new();
    for (place, request) in requests.enumerate() {
        tenants
            .entry(request.tenant_id)
            .or_default()
            .push((place, request));
    }
    let tenants = tenants.into_iter();
    tenants
        .map(|(tenant_id, requests)| OfTenant {
            tenant_id,
            requests,
        })
        .collect()
}

impl<'a> OfTenant<'a> {
    fn wanted(&self) -> Wanted {
        let mut all = Names::default();
        for (_, request) in &self.requests {
            let mut names = request.names();
            all.metrics.append(&mut names.metrics);
            all.projects.append(&mut names.projects);
        }
        Wanted {
            tenant_id: self.tenant_id,
            metrics: all.metrics(),
            projects: all.projects(),
        }
    }

    fn sift(self, batch: &Batch) -> (Fresh<'a>, Vec<(usize, Vec<Pending>)>) {
        let mut fresh = Fresh::default();
        let pending = self.requests.into_iter().map(|(place, request)| {
            let pending = fresh.sift(&request.items, batch, request.options);
            (place, pending)
        });
        let pending = pending.collect();
        (fresh, pending)
    }
}
