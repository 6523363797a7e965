//! Limits, looked at while the load runs: never one too many, at any moment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use tokio::{sync::watch, time::sleep};

use super::customer::Customer;
use crate::{
    api::Api,
    database::ask,
    failure::{Failure, While},
};

const USED: &str = "
    select 'max_members' as key,
        (select count(*) from memberships where tenant_id = $1::uuid and status <> 'removed')
        + (select count(*) from invitations where tenant_id = $1::uuid and status = 'pending' and expires_at > now()) as used
    union all select 'max_projects', count(*) from projects
        where tenant_id = $1::uuid and status = 'active' and not is_default
    union all select 'max_agents', count(*) from resources where tenant_id = $1::uuid and kind = 'agents'
    union all select 'max_concurrent_workflows', coalesce(sum(quantity), 0)::bigint from quota_reservations
        where tenant_id = $1::uuid and key = 'max_concurrent_workflows' and status = 'open' and expires_at > now()
    union all select 'tasks_per_month', coalesce(sum(coalesce(settled_quantity, quantity)), 0)::bigint from quota_reservations
        where tenant_id = $1::uuid and key = 'tasks_per_month'
            and (status = 'settled' or status = 'open' and expires_at > now())";

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = BigInt)]
    used: i64,
}

/// What a limit is, and the most that was ever seen of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    pub(super) limit: i64,
    pub(super) most: i64,
}

/// Peaks by the key of their entitlement.
pub(super) type Peaks = BTreeMap<String, Peak>;

/// The limits of a customer's plan, as the API tells them.
pub(super) async fn of(api: &Api, customer: &Customer) -> Result<Peaks, Failure> {
    let told = api
        .bearer(&customer.key)
        .get("/v1/entitlements")
        .await?
        .expect(&[200])?;
    let mut peaks = Peaks::new();
    for row in told.list("/data")? {
        let key = row.get("key").and_then(|key| key.as_str());
        let limit = row.get("limit").and_then(serde_json::Value::as_i64);
        if let (Some(key), Some(limit)) = (key, limit) {
            peaks.insert(key.to_owned(), Peak { limit, most: 0 });
        }
    }
    Ok(peaks)
}

/// Looks several times a second until told to stop. While the database is away there is nothing to see.
pub(super) async fn watch(
    url: String,
    customer: Arc<Customer>,
    mut peaks: Peaks,
    stop: watch::Receiver<bool>,
) -> Peaks {
    loop {
        let last = *stop.borrow();
        if look(&url, &customer, &mut peaks).await.is_err() && last {
            let wrong = "the limits could not be read at the end".to_owned();
            customer.books.open().wrong.push(wrong);
        }
        if last {
            return peaks;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

async fn look(url: &str, customer: &Customer, peaks: &mut Peaks) -> Result<(), Failure> {
    let id = customer.tenant_id.clone();
    let seen: Vec<Used> = ask(url, move |conn| {
        sql_query(USED).bind::<Text, _>(id).load(conn)
    })
    .await?;
    for Used { key, used } in seen {
        let peak = peaks
            .get_mut(&key)
            .ok_or("no such entitlement")
            .while_(&key)?;
        peak.most = peak.most.max(used);
        if used > peak.limit {
            let wrong = format!("{key}: {used} of {} are in use", peak.limit);
            customer.books.open().wrong.push(wrong);
        }
    }
    Ok(())
}
