//! Clients that wait for each answer before they ask again.
//!
//! They speak HTTP/1.1 over bare sockets: on the machine that is measured, whatever a client library does would be taken from the server.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{LENGTH, WARM_UP};

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
            let mut client = Client::connect(&target).await;
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
        let mut client = Client::connect(target).await;
        client.check(target).await;
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
    let mut client = Client::connect(target).await;
    let mut taken = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end {
            return taken;
        }
        client.check(target).await;
        let answered = Instant::now();
        if answered >= begin && answered < end {
            taken.push(micros(answered - start));
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

/// One thread: the rest of the machine is for those who are measured.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connection that is kept.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(target: &Target) -> Self {
        let stream = TcpStream::connect(target.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        }
    }

    async fn check(&mut self, target: &Target) {
        let body = self.ask(&target.request).await;
        assert!(body == target.body(), "another answer than before");
    }

    /// The body of the answer, whose status must be 200.
    async fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let mut needed = None;
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the server hung up");
            if needed.is_none() {
                needed = head(&self.buffer);
            }
            if let Some((start, length)) = needed
                && self.buffer.len() >= start + length
            {
                return self.buffer.get(start..start + length).unwrap_or_default();
            }
        }
    }
}

/// Where the body starts and how long it is, once the head is there.
fn head(answer: &[u8]) -> Option<(usize, usize)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    Some((end + 4, length.unwrap()))
}
