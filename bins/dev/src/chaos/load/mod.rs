//! The load: clients of several kinds, each in a loop until it is told to stop, and each until its last command is answered.
//!
//! | file | what its clients do |
//! |---|---|
//! | `events` | report usage, in batches, some of it twice |
//! | `made` | make what has a limit, and end it again: invitations, projects, API keys |
//! | `held` | reserve concurrency and quota, add and remove agents |
//! | `people` | invite people, who sign up, join and leave |
//! | `plans` | change the plan |

mod events;
mod held;
mod made;
mod people;
mod plans;

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use super::{client::Client, customer::Customer, random::Random};
use crate::api::Api;

pub(super) use self::events::METRIC;

/// What a kind of client does, and how many of them each customer has.
struct Staff {
    events: u64,
    invitations: u64,
    projects: u64,
    keys: u64,
    reservations: u64,
    agents: u64,
    people: u64,
    plans: u64,
}

/// The customer whose limits are tried from many sides.
const CROWD: Staff = Staff {
    events: 3,
    invitations: 3,
    projects: 2,
    keys: 2,
    reservations: 3,
    agents: 2,
    people: 1,
    plans: 0,
};

/// The customer who must see nothing of the first.
const NEIGHBOUR: Staff = Staff {
    events: 1,
    invitations: 1,
    projects: 1,
    keys: 1,
    reservations: 1,
    agents: 1,
    people: 1,
    plans: 0,
};

/// The customer who cannot decide.
const WAVERER: Staff = Staff {
    events: 1,
    invitations: 0,
    projects: 0,
    keys: 0,
    reservations: 0,
    agents: 0,
    people: 0,
    plans: 2,
};

/// Starts the clients of the three customers.
pub(super) fn start(
    apis: &[Api; 2],
    customers: &[Arc<Customer>; 3],
    stop: &watch::Receiver<bool>,
    random: &mut Random,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let mut number = 0;
    for (customer, staff) in customers.iter().zip([CROWD, NEIGHBOUR, WAVERER]) {
        let others = customers
            .iter()
            .filter(|other| other.tenant_id != customer.tenant_id);
        let foreign: Arc<[String]> = others
            .flat_map(|other| [other.tenant_id.clone(), other.tag.clone()])
            .collect();
        let mut hire = || {
            number += 1;
            Client::new(apis, customer, &foreign, stop, (number, random.fork()))
        };
        for _ in 0..staff.events {
            clients.spawn(events::report(hire()));
        }
        for _ in 0..staff.invitations {
            clients.spawn(made::come_and_go(hire(), &made::INVITATIONS));
        }
        for _ in 0..staff.projects {
            clients.spawn(made::come_and_go(hire(), &made::PROJECTS));
        }
        for _ in 0..staff.keys {
            clients.spawn(made::keys(hire(), apis.clone()));
        }
        for _ in 0..staff.reservations {
            clients.spawn(held::reservations(hire()));
        }
        for _ in 0..staff.agents {
            clients.spawn(held::agents(hire()));
        }
        for _ in 0..staff.people {
            clients.spawn(people::join_and_leave(hire(), apis.clone()));
        }
        for _ in 0..staff.plans {
            clients.spawn(plans::change(hire()));
        }
    }
    clients
}
