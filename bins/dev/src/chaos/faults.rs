//! What goes wrong, and when.

use std::{collections::BTreeMap, time::Duration};

use diesel::{RunQueryDsl, sql_query};
use local_pg::Cluster;
use tokio::time::{Instant, sleep};

use super::{
    random::Random,
    site::{LEASE, Site, Which},
};
use crate::{database::ask, failure::Failure, terminal::say};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    KillApi,
    KillWorker,
    CrashDatabase,
    RestartDatabase,
    CutConnections,
    FreezeApi,
    FreezeWorker,
}

const ALL: [Fault; 7] = [
    Fault::KillApi,
    Fault::KillWorker,
    Fault::CrashDatabase,
    Fault::RestartDatabase,
    Fault::CutConnections,
    Fault::FreezeApi,
    Fault::FreezeWorker,
];

impl Fault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::KillApi => "an API killed",
            Self::KillWorker => "a worker killed",
            Self::CrashDatabase => "PostgreSQL killed, every process of it",
            Self::RestartDatabase => "PostgreSQL restarted at once",
            Self::CutConnections => "all connections cut",
            Self::FreezeApi => "an API frozen",
            Self::FreezeWorker => "a worker frozen beyond its lease",
        }
    }

    async fn happen(self, site: &mut Site, random: &mut Random) -> Result<(), Failure> {
        let one = random.index(2).unwrap_or_default();
        let short = Duration::from_millis(random.within(100, 1500));
        match self {
            Self::KillApi => site.kill(Which::Api(one), short).await,
            Self::KillWorker => site.kill(Which::Worker(one), short).await,
            Self::CrashDatabase => site.restart_database(Cluster::crash, short).await,
            Self::RestartDatabase => site.restart_database(Cluster::stop_at_once, short).await,
            Self::CutConnections => cut_connections(site).await,
            Self::FreezeApi => site.freeze(Which::Api(one), short * 3).await,
            Self::FreezeWorker => site.freeze(Which::Worker(one), LEASE + short).await,
        }
    }
}

async fn cut_connections(site: &Site) -> Result<(), Failure> {
    ask(&site.superuser_url, |conn| {
        sql_query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .execute(conn)
    })
    .await
    .map(drop)
}

/// Lets things go wrong for a time: everything once, in some order, and then whatever comes. Gives how often each happened.
pub(super) async fn let_happen(
    site: &mut Site,
    time: Duration,
    random: &mut Random,
) -> Result<BTreeMap<Fault, u64>, Failure> {
    let start = Instant::now();
    let mut happened = BTreeMap::new();
    let mut first = ALL.to_vec();
    sleep(Duration::from_secs(2)).await;
    while start.elapsed() < time {
        let next = random
            .index(first.len())
            .map(|index| first.swap_remove(index));
        let drawn = random.index(ALL.len()).and_then(|index| ALL.get(index));
        let Some(fault) = next.or(drawn.copied()) else {
            continue;
        };
        let at = start.elapsed().as_secs();
        say(&format!("  {at:>4} s  {}", fault.words()));
        fault.happen(site, random).await?;
        *happened.entry(fault).or_default() += 1;
        sleep(Duration::from_millis(random.within(500, 3000))).await;
    }
    Ok(happened)
}
