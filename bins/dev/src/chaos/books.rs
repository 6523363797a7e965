//! What the clients were told, kept on this side: what must be found in the database when everything is over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What clients know of one event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    pub(super) quantity: u64,
    /// How many answers called it accepted. More than one is wrong.
    pub(super) accepted: u32,
    /// Whether an answer said that it is there.
    pub(super) acknowledged: bool,
}

/// A row that a command makes. Names are unique in a run, so a command that took effect twice is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Thing {
    Invitation,
    Member,
    Project,
    ApiKey,
    Resource,
    Reservation,
}

/// How the last command about a thing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was made: it must be there once.
    Made,
    /// It was made, and then ended: answered, revoked, archived, released, removed.
    Ended,
    /// It was refused: it must not be there.
    Refused,
}

/// What the clients of one tenant were told.
#[derive(Default)]
pub(super) struct Books(Mutex<Entries>);

/// The entries of [`Books`].
#[derive(Default)]
pub(super) struct Entries {
    pub(super) events: HashMap<String, Sent>,
    pub(super) things: HashMap<(Thing, String), Fate>,
    /// Agents of which a PUT was left without an answer. It has no key that would hold it to the answer of a later try: a frozen server may
    /// carry it out after the agent was refused or removed.
    pub(super) left_behind: HashSet<String>,
    /// Commands that were carried out and whose answer was lost, by kind of command.
    pub(super) unknown: BTreeMap<&'static str, u64>,
    /// Commands that were answered for good, by kind.
    pub(super) answered: BTreeMap<&'static str, u64>,
    /// Attempts beyond the first.
    pub(super) retries: u64,
    /// Answers 500, which nobody should see whatever happens below.
    pub(super) internal: u64,
    /// The longest time from a first attempt to its answer.
    pub(super) longest: Duration,
    /// What must not happen, as it was seen.
    pub(super) wrong: Vec<String>,
}

impl Books {
    pub(super) fn open(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    pub(super) fn count(&mut self, kind: &'static str) {
        *self.answered.entry(kind).or_default() += 1;
    }

    pub(super) fn lost(&mut self, kind: &'static str) {
        *self.unknown.entry(kind).or_default() += 1;
    }

    pub(super) fn note(&mut self, thing: Thing, name: &str, fate: Fate) {
        self.things.insert((thing, name.to_owned()), fate);
    }

    /// Sum of the quantities of all acknowledged events.
    pub(super) fn quantity(&self) -> u64 {
        let acknowledged = self.events.values().filter(|sent| sent.acknowledged);
        acknowledged.map(|sent| sent.quantity).sum()
    }
}
