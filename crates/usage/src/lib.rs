//! Meters, usage events, rollups and the daily close.
//!
//! | file | what is in it |
//! |---|---|
//! | [`meter`] | what is measured, and how many become one |
//! | [`revision`] | changing a meter, and what it was before |
//! | [`dimension`] | what a meter's usage is told apart by |
//! | [`value`] | where an event holds its meter's value |
//! | [`event`] | a measured fact |
//! | `key` | what makes two of them one |
//! | [`batch`] | the events of one text: JSON, lines of it, CloudEvents |
//! | `reading` | reading one from Plinth's plain form or from a CloudEvent |
//! | [`metadata`] | what an event carries besides |
//! | [`ingest`] | taking the events of a request in: what becomes of each |
//! | [`group`] | taking in the events of many requests at once |
//! | `sift` | parting what can be written from what cannot |
//! | [`rollup`] | moving events into quarter-hour buckets |
//! | [`import`] | bringing in what another system measured |
//! | [`query`] | asking for usage |
//! | [`breakdown`] | by what an answer is told apart, and to what it is narrowed down |
//! | [`raw`] | events as they were sent |
//! | [`retention`] | how long events themselves are kept |
//! | [`bucket`] | cutting a range into buckets of a time zone |
//! | `calendar` | which day an instant belongs to |
//! | [`day`] | the daily close |
//! | [`permissions`] | what a principal needs |
//! | [`ports`] | what it needs from a store and from an archive: [`Store`], for requests of a tenant, [`Intake`], [`GroupStore`], [`Ledger`] and others |
//! | [`service`] | [`Usage`] and [`Books`]: the façades over them |
//!
//! Invariants: an acknowledged event is committed. An event counts once, however often and however it is sent within 35 days. A read is
//! exact at once: rollups up to the watermark, raw events behind it, out of one snapshot. No quantity passes through a float.

pub mod batch;
pub mod breakdown;
pub mod bucket;
mod calendar;
pub mod day;
pub mod dimension;
pub mod event;
pub mod group;
pub mod import;
pub mod ingest;
mod key;
pub mod metadata;
pub mod meter;
pub mod permissions;
pub mod ports;
pub mod query;
pub mod raw;
mod reading;
pub mod retention;
pub mod revision;
pub mod rollup;
pub mod service;
mod sift;
pub mod value;

pub use batch::{BatchError, Form};
pub use breakdown::{Filter, GroupBy};
pub use bucket::{Buckets, Granularity};
pub use event::{Item, NewEvent, Rejection};
pub use ingest::{IngestError, Options, Outcome, Receipt, Status};
pub use metadata::Metadata;
pub use meter::{Aggregation, CreateMeterError, Meter, NewMeter};
pub use ports::{GroupStore, Intake, Ledger, Store};
pub use query::{ReadUsageError, Summary, UsageRequest, UsageRow};
pub use raw::{EventsRequest, FindEventError, StoredEvent};
pub use revision::{ChangeMeterError, MeterChange, MeterError, MeterVersion};
pub use service::{Books, ListMetersError, Usage};
