//! `just chaos`: things go wrong under load, and afterwards the books must balance.
//!
//! | file | what is in it |
//! |---|---|
//! | `site` | what is broken: PostgreSQL, two APIs, two workers |
//! | `faults` | what goes wrong, and when |
//! | `customer` | three tenants |
//! | `client` | a client that asks again until it knows |
//! | `load` | what the clients do |
//! | `books` | what the clients were told |
//! | `limits` | limits, looked at all the time |
//! | `recovery` | everything comes to rest |
//! | `reckoning` | the database against what the clients were told |
//! | `conservation` | the database against itself |
//! | `quiet` | what holds when nothing goes wrong: keys are revoked at once, neighbours are strangers |
//! | `table` | what a person reads |
//! | `random` | the same choices from the same seed |

mod books;
mod client;
mod conservation;
mod customer;
mod faults;
mod limits;
mod load;
mod quiet;
mod random;
mod reckoning;
mod recovery;
mod site;
mod table;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::Args;
use kernel::id::random_bytes;
use tokio::{sync::watch, task::JoinHandle};

use self::{customer::Customer, faults::Fault, limits::Peaks, random::Random, site::Site};
use crate::{
    api::Api,
    failure::{Failure, While},
    terminal::say,
    up::told_to_stop,
};

/// How long, and which choices.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long things go wrong.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Plays the choices of an earlier run again.
    #[arg(long)]
    seed: Option<u64>,
}

/// What a run came to.
struct Report {
    faults: BTreeMap<Fault, u64>,
    recovered_in: Duration,
    peaks: Peaks,
    /// What was checked, and what was off about it.
    checks: Vec<(String, Vec<String>)>,
}

/// Breaks a private deployment under load, and checks what is left. Whatever happens, everything that was started is stopped.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from_le_bytes(random_bytes()));
    say(&format!("The seed is {seed}."));
    let mut site = tokio::select! {
        site = Site::start() => site?,
        stopped = told_to_stop() => {
            stopped?;
            return Err(Failure::new("stopped before it began"));
        }
    };
    let time = Duration::from_secs(arguments.seconds);
    let played = tokio::select! {
        played = play(&mut site, time, Random::seeded(seed)) => played,
        stopped = told_to_stop() => stopped.and(Err(Failure::new("stopped half-way"))),
    };
    let folder = site.folder();
    site.leave(played.is_err()).await;
    played.map_err(|failure| {
        let logs = folder.display();
        Failure(format!(
            "{failure}\n  The seed was {seed}; the logs are in {logs} until the next run."
        ))
    })
}

async fn play(site: &mut Site, time: Duration, mut random: Random) -> Result<(), Failure> {
    let [api, _] = &site.urls;
    let customers = sign_up(api, &mut random).await?;
    let peaks = limits::of(api, &customers[0]).await?;
    let (stop, stopped) = watch::channel(false);
    let clients = load::start(&site.urls, &customers, &stopped, &mut random);
    let (settle, settled) = watch::channel(false);
    let [crowd, neighbour, _] = &customers;
    let watchers = [crowd, neighbour].map(|customer| {
        let (url, customer) = (site.superuser_url.clone(), Arc::clone(customer));
        tokio::spawn(limits::watch(url, customer, peaks.clone(), settled.clone()))
    });

    say(&format!("Things go wrong for {} s:", time.as_secs()));
    let faults = faults::let_happen(site, time, &mut random).await?;
    let ended_by_themselves = site.ended_by_themselves();
    stop.send_replace(true);
    say("The last fault is over.");
    let recovered_in = recovery::wait(site, clients).await.map_err(|failure| {
        let logged = site.logged_failures().join("\n  ");
        Failure(format!("{failure}\n  {logged}"))
    })?;
    settle.send_replace(true);
    let peaks = highest(watchers).await?;

    let says = "no program ended by itself".to_owned();
    let mut checks = vec![(says, ended_by_themselves)];
    checks.extend(check(site, &customers).await?);
    let report = Report {
        faults,
        recovered_in,
        peaks,
        checks,
    };
    table::show(&report, &customers);
    let broken = report.checks.iter().filter(|(_, off)| !off.is_empty());
    match broken.count() {
        0 => Ok(()),
        count => Err(Failure(format!("{count} checks failed"))),
    }
}

/// Two customers on the plan whose limits are tried, and one who cannot decide on a plan.
async fn sign_up(api: &Api, random: &mut Random) -> Result<[Arc<Customer>; 3], Failure> {
    let mut sign_up = async |name, plan| {
        let tag = format!("{name}{:08x}", random.next() >> 32);
        Customer::sign_up(api, tag, plan).await.map(Arc::new)
    };
    Ok([
        sign_up("ada", "starter").await?,
        sign_up("ben", "starter").await?,
        sign_up("cem", "pro").await?,
    ])
}

/// The highest of what was seen of each limit, of all customers.
async fn highest(watchers: [JoinHandle<Peaks>; 2]) -> Result<Peaks, Failure> {
    let mut highest = Peaks::new();
    for watcher in watchers {
        for (key, peak) in watcher.await.while_("watching the limits")? {
            let most = highest.get(&key).map_or(0, |known| known.most);
            let most = most.max(peak.most);
            highest.insert(key, limits::Peak { most, ..peak });
        }
    }
    Ok(highest)
}

async fn check(
    site: &Site,
    customers: &[Arc<Customer>; 3],
) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let url = &site.superuser_url;
    let [api, _] = &site.urls;
    let mut checks = Vec::new();
    for customer in customers {
        let says = format!("what {} was told is what is there, once", customer.tag);
        checks.push((says, reckoning::check(url, api, customer).await?));
    }
    for (says, breaches) in conservation::check(url).await? {
        checks.push((says.to_owned(), breaches));
    }
    let says = "a revoked key is refused everywhere within a second".to_owned();
    checks.push((
        says,
        quiet::keys_are_revoked_at_once(&site.urls, &customers[0]).await?,
    ));
    let says = "nobody finds a name of another tenant in a list".to_owned();
    checks.push((
        says,
        quiet::neighbours_are_strangers(&site.urls, customers).await?,
    ));
    for customer in customers {
        let says = format!("every answer to {} was one it could get", customer.tag);
        checks.push((says, customer.books.open().wrong.clone()));
    }
    let says = "no API logged an error".to_owned();
    checks.push((says, site.logged_failures()));
    Ok(checks)
}
