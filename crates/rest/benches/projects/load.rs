//! Clients that wait for each answer before they ask again.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    LENGTH, WARM_UP,
    client::{Client, runtime},
};

/// A request, and the answer that it must always get.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    request: Arc<[u8]>,
    body: Arc<[u8]>,
}

impl Target {
    /// Asks once for the answer.
    pub(crate) fn of(address: SocketAddr, path: &str, key: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        let mut target = Self {
            address,
            request: request.into_bytes().into(),
            body: Arc::default(),
        };
        target.body = runtime().block_on(async {
            let mut client = Client::connect(target.address).await;
            client.ask(&target.request).await.into()
        });
        target
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// What came of a phase.
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) per_second: u64,
    /// Half of the answers took no longer, in microseconds.
    pub(crate) p50: u64,
    /// 99 of 100 answers took no longer, in microseconds.
    pub(crate) p99: u64,
}

/// Asks once.
pub(crate) fn once(target: &Target) {
    runtime().block_on(async {
        let mut client = Client::connect(target.address).await;
        check(&mut client, target).await;
    });
}

/// Asks for as long as a phase takes, on `clients` connections.
pub(crate) fn run(target: &Target, clients: usize) -> Measured {
    let taken = runtime().block_on(async {
        let mut all = JoinSet::new();
        let begin = Instant::now() + WARM_UP;
        for _ in 0..clients {
            let target = target.clone();
            all.spawn(async move { ask_until(&target, begin, begin + LENGTH).await });
        }
        all.join_all().await
    });
    measured(taken.concat())
}

fn measured(mut taken: Vec<u64>) -> Measured {
    taken.sort_unstable();
    let percentile = |percent: usize| {
        let at = taken.len() * percent / 100;
        taken.get(at).copied().unwrap_or_default()
    };
    Measured {
        per_second: u64::try_from(taken.len()).unwrap() / LENGTH.as_secs(),
        p50: percentile(50),
        p99: percentile(99),
    }
}

/// One client. Gives the microseconds of each answer that came between `begin` and `end`.
async fn ask_until(target: &Target, begin: Instant, end: Instant) -> Vec<u64> {
    let mut client = Client::connect(target.address).await;
    let mut taken = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end {
            return taken;
        }
        check(&mut client, target).await;
        let answered = Instant::now();
        if answered >= begin && answered < end {
            taken.push(micros(answered - start));
        }
    }
}

async fn check(client: &mut Client, target: &Target) {
    let body = client.ask(&target.request).await;
    assert!(body == target.body(), "another answer than before");
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
