//! `usage::Store`: answers are exact at any moment. They are compared with those of an oracle that knows the events alone.

use std::sync::atomic::{AtomicBool, Ordering};

use kernel::{Name, PageRequest, Principal, ProjectId, Scope, TenantId, Zone};
use time::{Duration, OffsetDateTime, macros::datetime};
use usage::{
    Aggregation, Buckets, Filter, Granularity, GroupBy, Meter, UsageRequest, UsageRow,
    query::{self, After, ReadUsageError, UsageQuery},
    rollup,
};
use uuid::Uuid;

use super::{
    Backend, fixture, run,
    usage_fixture::*,
    usage_oracle::{self, Known},
};

/// Zones off the hour, and zones whose clocks change in the season that the events are of.
const ZONES: [&str; 8] = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "America/St_Johns",
    "Europe/Paris",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
];

/// Instants around which a clock of those zones changes: forward by half an hour and by an hour, and back by an hour.
const CHANGES: [OffsetDateTime; 5] = [
    datetime!(2025-09-27 14:00 UTC),
    datetime!(2025-10-04 15:30 UTC),
    datetime!(2025-10-26 01:00 UTC),
    datetime!(2025-11-02 04:30 UTC),
    datetime!(2025-11-02 06:00 UTC),
];

/// A tenant with a meter of each kind and two projects, and all that is known of its events.
struct World {
    tenant_id: TenantId,
    meters: Vec<Meter>,
    projects: [ProjectId; 2],
    known: Vec<Known>,
    dice: Dice,
}

impl World {
    async fn new(backend: &impl Backend, seed: u64) -> Self {
        let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
        let mut meters = vec![standard_meter(backend, "chat").await];
        for aggregation in Aggregation::ALL {
            let mut row = meter(&format!("own.{}", aggregation.as_str()), aggregation);
            row.dimensions = vec!["region".to_owned(), "model".to_owned()];
            if aggregation != Aggregation::Count {
                row.dimensions.push("tier".to_owned());
            }
            meters.push(stored(backend, tenant_id, row).await);
        }
        let projects = [1, 2].map(|second| ProjectId::new(fixture::at(second)));
        for project in projects {
            add_project(backend, tenant_id, project).await;
        }
        Self {
            tenant_id,
            meters,
            projects,
            known: Vec::new(),
            dice: Dice(seed),
        }
    }

    /// An instant of the season: often near a change of some clock, often on a quarter of an hour, where mistakes are made, and often in
    /// one of few quarters, so that ranges end amid events.
    fn instant(&mut self) -> OffsetDateTime {
        let near = self.dice.pick(&CHANGES) - Duration::hours(2);
        let (start, quarters) = self.dice.pick(&[
            (near, 16),
            (datetime!(2025-10-20 00:00 UTC), 3),
            (datetime!(2025-09-25 00:00 UTC), 96 * 40),
        ]);
        let quarter = i64::try_from(self.dice.roll(quarters)).unwrap();
        let into = [0, self.dice.roll(900_000_000), 899_999_999];
        let into = i64::try_from(self.dice.pick(&into)).unwrap();
        start + Duration::minutes(15 * quarter) + Duration::microseconds(into)
    }

    fn event(&mut self) -> Known {
        let meter = self.dice.pick(&self.meters);
        let units = i128::from(self.dice.roll(1 << 50));
        let is_negative = meter.allows_negative && self.dice.roll(2) == 0;
        let text = |dice: &mut Dice, of: &[&'static str]| {
            Some(dice.pick(of)).filter(|text| !text.is_empty())
        };
        Known {
            at: self.instant(),
            received_at: OffsetDateTime::UNIX_EPOCH,
            dedup: Uuid::nil(),
            units: if is_negative { -units } else { units },
            project_id: self
                .dice
                .pick(&[None, Some(self.projects[0]), Some(self.projects[1])]),
            user_id: text(&mut self.dice, &["", "u1", "ü2", "U3"]).map(str::to_owned),
            model: text(&mut self.dice, &["", "m.1", "m-2"]).map(str::to_owned),
            who: text(&mut self.dice, &["", "p1", "p2", "p3", "7"]).map(str::to_owned),
            region: text(&mut self.dice, &["", "eu", "U\"S", "ä=1"]).map(str::to_owned),
            tier: self.dice.pick(&[None, Some(1), Some(20)]),
            meter,
        }
    }

    /// Writes up to `most` events in one batch.
    async fn write(&mut self, backend: &impl Backend, most: u64) {
        let number = self.dice.roll(most + 1);
        let mut fresh: Vec<Known> = (0..number).map(|_| self.event()).collect();
        let ids = self.known.len()..;
        let events: Vec<_> = ids
            .zip(&fresh)
            .map(|(id, known)| known.to_event(&id.to_string()))
            .collect();
        let dedups: Vec<Uuid> = events.iter().map(|event| event.dedup).collect();
        let (received_at, _) = append(backend, self.tenant_id, events).await;
        for (known, dedup) in fresh.iter_mut().zip(dedups) {
            (known.received_at, known.dedup) = (received_at, dedup);
        }
        self.known.append(&mut fresh);
    }

    fn group_by(&mut self) -> GroupBy {
        let mut flag = || self.dice.roll(2) == 0;
        let mut group_by = GroupBy {
            project: flag(),
            user: flag(),
            model: flag(),
            ..GroupBy::default()
        };
        for name in ["region", "tier"] {
            if flag() && flag() {
                group_by.dimensions.insert(name.to_owned());
            }
        }
        group_by
    }

    /// Often nothing; otherwise one or two alternatives of some dimensions, known and unknown.
    fn filter(&mut self) -> Filter {
        let mut filter = Filter::default();
        let project = self.projects[1].to_string();
        let project = project.as_str();
        let alternatives = [
            ("region", ["eu", "ä=1", ""]),
            ("tier", ["1", "20", "2"]),
            ("user", ["u1", "ü2", ""]),
            ("model", ["m.1", "other", ""]),
            ("project", [project, project, ""]),
        ];
        for (name, values) in alternatives {
            for _ in 0..self.dice.roll(12).saturating_sub(9) {
                filter.add(name, self.dice.pick(&values)).unwrap();
            }
        }
        filter
    }

    /// A question, and the client's request that it stands for.
    fn question(&mut self) -> (UsageQuery, UsageRequest) {
        let (a, b) = (self.instant(), self.instant());
        let (from, to) = (a.min(b), a.max(b) + Duration::microseconds(1));
        let granularity = self.dice.pick(&[
            Granularity::Quarter,
            Granularity::Hour,
            Granularity::Day,
            Granularity::Month,
            Granularity::Total,
        ]);
        let zone = Zone::parse("timezone", self.dice.pick(&ZONES)).unwrap();
        let group_by = self.group_by();
        let is_grouped = group_by != GroupBy::default();
        let meters = match self.dice.roll(3) {
            0 => self.meters.clone(),
            // A dimension is asked for of meters that have it: the last one has them all.
            _ => vec![
                self.dice.pick(&self.meters),
                self.meters[self.meters.len() - 1].clone(),
            ],
        };
        let meters = usage_oracle::by_key(meters);
        let filter = self.filter();
        let query = UsageQuery {
            from,
            to,
            buckets: usage_oracle::cut(from, to, granularity, &zone),
            group_by: group_by.clone(),
            filter: filter.clone(),
            project_id: self.dice.pick(&[None, Some(self.projects[0])]),
            with_empty: granularity == Granularity::Total && !is_grouped,
            meters,
        };
        let request = UsageRequest {
            metrics: query.meters.iter().map(|meter| meter.key.clone()).collect(),
            from: Some(from),
            to: Some(to),
            granularity,
            group_by,
            filter,
            timezone: Some(zone),
        };
        (query, request)
    }
}

/// What a client gets who asks page by page.
async fn walk(
    backend: &impl Backend,
    world: &World,
    request: &UsageRequest,
    project_id: Option<ProjectId>,
    limit: u32,
) -> Vec<UsageRow> {
    let mut by = Principal::system("contract", Some(world.tenant_id));
    by.grant.as_mut().unwrap().project_id = project_id;
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let (by, request) = (by.clone(), request.clone());
        let page = PageRequest { limit, cursor };
        let answer = run(
            backend.usage(),
            Scope::tenant(world.tenant_id),
            move |store| -> Result<_, ReadUsageError> {
                query::usage(store, &request, &page, &by, fixture::at(0))
            },
        )
        .await
        .unwrap();
        rows.extend(answer.data);
        cursor = answer.next_cursor;
        if cursor.is_none() {
            return rows;
        }
    }
}

/// Any question, in any zone, is answered as the oracle answers it, whatever part of the events is rolled up: at once, and page by page.
pub async fn answers_equal_those_of_an_oracle_at_any_moment(backend: &impl Backend) {
    let mut world = World::new(backend, 0x9e37_79b9_7f4a_7c15).await;
    let mut compared = 0;
    for round in 0..80 {
        world.write(backend, 30).await;
        if round % 3 == 0 {
            let at_most = u32::try_from(1 + world.dice.roll(60)).unwrap();
            in_books(backend, move |store| store.move_events(at_most))
                .await
                .unwrap();
        }
        let (query, request) = world.question();
        let expected = usage_oracle::answer(&world.known, &query);
        let rows = read(backend, world.tenant_id, &query, None, 100_000).await;
        assert_eq!(rows, expected, "{request:?} of {:?}", query.project_id);
        let limit = u32::try_from(expected.len() / 3 + 1).unwrap();
        let rows = walk(backend, &world, &request, query.project_id, limit).await;
        assert_eq!(rows, expected, "{request:?} of {:?}", query.project_id);
        compared += rows.len();
    }
    assert!(compared > 1000, "only {compared} rows were compared");
}

/// The same questions before anything is rolled up, and after everything is.
pub async fn a_rollup_changes_no_answer(backend: &impl Backend) {
    let mut world = World::new(backend, 0x2545_f491_4f6c_dd1d).await;
    for _ in 0..10 {
        world.write(backend, 40).await;
    }
    let questions: Vec<UsageQuery> = (0..30).map(|_| world.question().0).collect();
    for has_rolled in [false, true] {
        if has_rolled {
            roll_all(backend, world.known.len() as u64).await;
        }
        for query in &questions {
            let rows = read(backend, world.tenant_id, query, None, 100_000).await;
            let expected = usage_oracle::answer(&world.known, query);
            assert_eq!(rows, expected, "rolled up: {has_rolled}, {query:?}");
        }
    }
}

/// While rollers move events, every read counts every one of them once.
pub async fn a_read_is_exact_while_events_move(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    for batch in 0..30 {
        let one = |n: i64| event(&chat, &format!("{batch}-{n}"), fixture::at(n), 1);
        append(backend, tenant, (0..10).map(one).collect()).await;
    }
    let from = fixture::at(0);
    let query = UsageQuery {
        meters: vec![chat],
        from,
        to: fixture::at(100),
        buckets: Buckets::At(vec![from]),
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: None,
        with_empty: true,
    };
    let is_done = AtomicBool::new(false);
    let rolling = async {
        let mut moved = 0;
        while moved < 300 {
            let step = in_books(backend, |store| rollup::roll(store, 10)).await;
            moved += step.unwrap().events;
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let mut reads = 0;
        while !is_done.load(Ordering::Relaxed) {
            let rows = read(backend, tenant, &query, None, 9).await;
            assert_eq!(rows[0].quantity.to_string(), "300");
            reads += 1;
        }
        reads
    };
    let (reads, ()) = tokio::join!(reading, rolling);
    assert!(reads > 1, "nobody read meanwhile");
}

/// A page goes on behind any place, whether a row is there or not, and holds as many rows as were asked for.
pub async fn a_page_goes_on_behind_any_place(backend: &impl Backend) {
    let mut world = World::new(backend, 0x0123_4567_89ab_cdef).await;
    for _ in 0..8 {
        world.write(backend, 40).await;
    }
    roll_all(backend, world.known.len() as u64).await;
    world.write(backend, 40).await;
    let from = datetime!(2025-09-25 00:00 UTC);
    let to = datetime!(2025-11-10 00:00 UTC);
    let group_by = GroupBy {
        project: true,
        user: true,
        model: true,
        dimensions: ["region", "tier"].map(str::to_owned).into(),
    };
    let query = UsageQuery {
        meters: world.meters.clone(),
        from,
        to,
        buckets: usage_oracle::cut(from, to, Granularity::Month, &Zone::utc()),
        group_by,
        filter: Filter::default(),
        project_id: None,
        with_empty: false,
    };
    let all = usage_oracle::answer(&world.known, &query);
    assert!(all.len() > 100, "{} rows", all.len());
    for place in 0..40 {
        let row = world.dice.pick(&all);
        let mut after: After = row.key();
        match place % 5 {
            0 => after.1 += 1,
            1 => after.3.push('~'),
            2 => after.0.push('a'),
            3 => after.5[1].push('~'),
            _ => {}
        }
        let limit = u32::try_from(1 + world.dice.roll(20)).unwrap();
        let behind = all.iter().filter(|row| row.key() > after);
        let expected: Vec<UsageRow> = behind.take(limit as usize).cloned().collect();
        let rows = read(backend, world.tenant_id, &query, Some(after.clone()), limit).await;
        assert_eq!(rows, expected, "behind {after:?}, {limit} rows");
    }
}

/// A meter that counts values reads them from the event's own fields or from its metadata, and takes text and number of one spelling for
/// one.
pub async fn different_values_are_counted_wherever_they_stand(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let project = ProjectId::new(fixture::at(1));
    add_project(backend, tenant, project).await;
    for (field, expected) in [
        ("user_id", "3"),
        ("model", "2"),
        ("project_id", "2"),
        ("seat", "4"),
    ] {
        let mut row = meter(&format!("by.{field}"), Aggregation::Unique);
        row.value_field = Some(field.to_owned());
        let counted = row.clone();
        in_tenant(backend, tenant, move |store| {
            store.insert_meter(tenant, &row)
        })
        .await
        .unwrap();
        let said = [
            serde_json::json!({"user_id": "u1", "model": "m1", "project_id": project}),
            serde_json::json!({"user_id": "u1", "metadata": {"user_id": "u9", "seat": "1"}}),
            serde_json::json!({"user_id": "u2", "metadata": {"seat": 1, "model": "m1"}}),
            serde_json::json!({"metadata": {"user_id": "u3", "seat": true, "model": "m2"}}),
            serde_json::json!({"metadata": {"user_id": null, "seat": null, "project_id": "p"}}),
            serde_json::json!({"metadata": {"seat": "1.0", "project_id": project}}),
            serde_json::json!({"metadata": {"seat": 12}}),
        ];
        let events = said.into_iter().enumerate().map(|(n, mut said)| {
            said["id"] = format!("{field}-{n}").into();
            said["metric"] = counted.key.clone().into();
            let event = usage::Item::parse_plain(&said.to_string()).event.unwrap();
            metered(&counted, event, fixture::at(0))
        });
        append(backend, tenant, events.collect()).await;
        let from = fixture::at(0);
        let query = UsageQuery {
            meters: vec![counted],
            from,
            to: fixture::at(1),
            buckets: Buckets::Quarters,
            group_by: GroupBy::default(),
            filter: Filter::default(),
            project_id: None,
            with_empty: false,
        };
        let rows = read(backend, tenant, &query, None, 9).await;
        assert_eq!(rows[0].quantity.to_string(), expected, "{field}");
    }
}

/// The zone is the tenant's, from the moment it is changed; UTC for nobody, and for whoever is not in scope.
pub async fn the_zone_is_the_tenants(backend: &impl Backend) {
    let mut tenant = fixture::stored_tenant(backend, "acme").await;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let id = tenant.id;
    let zone = async |scope: TenantId| {
        in_tenant(backend, scope, move |store| store.tenant_zone(id))
            .await
            .unwrap()
    };
    assert_eq!(zone(id).await, Zone::utc());
    tenant.timezone = Zone::parse("timezone", "Asia/Kathmandu").unwrap();
    tenant.name = Name::parse("name", "Acme").unwrap();
    let (row, expected) = (tenant.clone(), tenant.timezone);
    run(backend.tenants(), Scope::tenant(id), move |store| {
        store.update_tenant(&row)
    })
    .await
    .unwrap();
    assert_eq!(zone(id).await, expected);
    assert_eq!(zone(other).await, Zone::utc());
    assert_eq!(zone(TenantId::new(fixture::at(1))).await, Zone::utc());
}
