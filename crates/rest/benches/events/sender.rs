//! Clients that send events, wait for the answer, and check that it says what became of each.

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

/// What a phase sends.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Connections, kept alive.
    pub(crate) clients: usize,
    /// Events in one request.
    pub(crate) batch: usize,
    /// Whether each client sends one request again and again.
    pub(crate) replay: bool,
    /// Events per second that all clients together try to send; as many as they can when there is none.
    pub(crate) rate: Option<u64>,
}

impl Load {
    /// How long after the start this client sends its request of this number. Clients do not march in step.
    fn due(&self, client: usize, number: u32) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            let one = u64::try_from(self.batch).unwrap() * 1_000_000 / rate.max(1);
            let turns = u32::try_from(self.clients).unwrap() * number
                + u32::try_from(client % self.clients).unwrap();
            Duration::from_micros(one) * turns
        })
    }
}

/// What came of it.
pub(crate) struct Measured {
    pub(crate) events_per_second: u64,
    /// Half of the answers took no longer, in microseconds.
    pub(crate) p50: u64,
    /// 99 of 100 answers took no longer, in microseconds.
    pub(crate) p99: u64,
}

/// How the ids of events follow one another.
#[derive(Clone, Copy)]
pub(crate) enum Ids {
    /// Each is the next, as of UUIDv7 and whatever counts.
    Counted,
    /// In no order, as of UUIDv4.
    Random,
}

impl Ids {
    /// Of as many digits as there are places for. No two numbers have the same.
    fn digits(self, number: u64) -> u64 {
        /// Has no divisor in common with the number of ids.
        const STRIDE: u128 = 618_033_988_749_894_847;
        match self {
            Self::Counted => number,
            Self::Random => {
                let id = u128::from(number) * STRIDE % 10_u128.pow(DIGITS as u32);
                u64::try_from(id).unwrap()
            }
        }
    }
}

/// Sends events with ids that were never sent before.
pub(crate) struct Sender {
    address: SocketAddr,
    keys: Arc<[String]>,
    ids: Ids,
    clients_so_far: usize,
}

const BEFORE_KEY: &str = "POST /v1/events HTTP/1.1\r\nauthorization: Bearer ";
/// Where an id stands in an event, and how long its number is.
const BEFORE_ID: &str = r#"{"id":"bench-"#;
const DIGITS: usize = 18;
const AFTER_ID: &str = r#"","metric":"tool_call","quantity":1}"#;

impl Sender {
    /// With these keys, all of one length; each request shows another of them.
    pub(crate) fn new(address: SocketAddr, keys: Vec<String>, ids: Ids) -> Self {
        Self {
            address,
            keys: keys.into(),
            ids,
            clients_so_far: 0,
        }
    }

    pub(crate) fn run(&mut self, load: Load) -> Measured {
        self.run_beside(load, None).0
    }

    /// Sends events, and on a connection of its own asks something else all the while.
    pub(crate) fn run_beside(&mut self, load: Load, other: Option<&str>) -> (Measured, Measured) {
        let (begin, first) = (Instant::now() + WARM_UP, self.clients_so_far);
        self.clients_so_far += load.clients;
        let (taken, others) = runtime().block_on(async {
            let mut all = JoinSet::new();
            for number in first..self.clients_so_far {
                let request = Request::new(self, number, load.batch);
                all.spawn(send_until(self.address, (number, request), load, begin));
            }
            let others = match other {
                Some(request) => ask_until(self.address, request, begin).await,
                None => Vec::new(),
            };
            (all.join_all().await, others)
        });
        (measured(taken.concat(), load.batch), measured(others, 1))
    }
}

fn measured(mut taken: Vec<u64>, batch: usize) -> Measured {
    taken.sort_unstable();
    let percentile = |percent: usize| {
        let at = taken.len() * percent / 100;
        taken.get(at).copied().unwrap_or_default()
    };
    Measured {
        events_per_second: u64::try_from(taken.len() * batch).unwrap() / LENGTH.as_secs(),
        p50: percentile(50),
        p99: percentile(99),
    }
}

async fn send_until(
    address: SocketAddr,
    (client_number, mut request): (usize, Request),
    load: Load,
    begin: Instant,
) -> Vec<u64> {
    let mut client = Client::connect(address).await;
    let mut taken = Vec::new();
    let mut expected = format!("{{\"accepted\":{},", load.batch);
    let first = Instant::now();
    for number in 0.. {
        tokio::time::sleep_until((first + load.due(client_number, number)).into()).await;
        let start = Instant::now();
        if start >= begin + LENGTH {
            break;
        }
        let answer = client.ask(&request.bytes).await;
        assert!(
            answer.starts_with(expected.as_bytes()),
            "{}",
            String::from_utf8_lossy(answer)
        );
        if start >= begin {
            taken.push(micros(start.elapsed()));
        }
        if load.replay {
            expected = format!("{{\"accepted\":0,\"duplicates\":{},", load.batch);
        } else {
            request.next();
        }
    }
    taken
}

/// Asks one thing after another, a thousand times a second at most.
async fn ask_until(address: SocketAddr, request: &str, begin: Instant) -> Vec<u64> {
    let mut client = Client::connect(address).await;
    let mut taken = Vec::new();
    loop {
        let start = Instant::now();
        if start >= begin + LENGTH {
            return taken;
        }
        client.ask(request.as_bytes()).await;
        if start >= begin {
            taken.push(micros(start.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

/// A request whose ids and key are written over for the next one: making it costs next to nothing.
struct Request {
    bytes: Vec<u8>,
    keys: Arc<[String]>,
    ids: Ids,
    /// Where the number of each id starts.
    places: Vec<usize>,
    next: u64,
}

impl Request {
    fn new(sender: &Sender, client: usize, batch: usize) -> Self {
        let Sender {
            address, ref keys, ..
        } = *sender;
        let event = format!("{BEFORE_ID}{}{AFTER_ID}", "0".repeat(DIGITS));
        let body = format!("[{}]", vec![event.as_str(); batch].join(","));
        let head = format!(
            "{BEFORE_KEY}{}\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            keys.first().unwrap(),
            body.len()
        );
        let places = (0..batch)
            .map(|number| head.len() + 1 + number * (event.len() + 1) + BEFORE_ID.len())
            .collect();
        let mut request = Self {
            bytes: (head + &body).into_bytes(),
            keys: Arc::clone(keys),
            ids: sender.ids,
            places,
            next: u64::try_from(client).unwrap() * 1_000_000_000_000,
        };
        request.next();
        request
    }

    fn next(&mut self) {
        // Spread over all keys: by the golden ratio, so that none comes again soon.
        let turn = self.next.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let key = self
            .keys
            .get(usize::try_from(turn).unwrap() % self.keys.len());
        let key = key.unwrap().as_bytes();
        let place = self
            .bytes
            .get_mut(BEFORE_KEY.len()..BEFORE_KEY.len() + key.len());
        place.unwrap().copy_from_slice(key);
        for place in &self.places {
            let digits = self.bytes.get_mut(*place..*place + DIGITS).unwrap();
            let mut rest = self.ids.digits(self.next);
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap();
                rest /= 10;
            }
            self.next += 1;
        }
    }
}
