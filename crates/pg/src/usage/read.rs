//! Reading usage: rollups where a bucket lies inside the range, raw events for what is not rolled up and for clipped buckets.
//!
//! One statement is one snapshot: the watermark it sees is the one that the rollups it sees belong to, so no event is counted twice or
//! missed, whatever a roller does meanwhile.

use std::collections::BTreeSet;

use bigdecimal::BigDecimal;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{ProjectId, StoreError, TenantId};
use time::OffsetDateTime;
use usage::{
    Aggregation, Buckets, Filter,
    query::{After, UsageQuery, UsageRow},
    rollup::quarter_of,
};
use uuid::Uuid;

use super::statement::{self, Shape};
use crate::error::{store_error, unreadable};

/// What is wanted of the answer.
pub(super) struct Page<'a> {
    /// Only what this snapshot sees; everything when there is none. As PostgreSQL writes snapshots.
    pub(super) as_of: Option<&'a str>,
    /// Rows behind this one.
    pub(super) after: Option<&'a After>,
    /// Rows at most.
    pub(super) limit: u32,
}

pub(super) fn rows(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    query: &UsageQuery,
    page: &Page<'_>,
) -> Result<Vec<UsageRow>, StoreError> {
    let meters = &query.meters;
    let after = page.after.map(Behind::of).transpose()?;
    let starts = match &query.buckets {
        Buckets::Quarters => None,
        Buckets::At(starts) => Some(starts.as_slice()),
    };
    let narrowed = Narrowed::of(&query.filter);
    let answers: Vec<Answer> = sql_query(statement::text(shape_of(query)))
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Array<sql::Uuid>, _>(column(meters, |meter| meter.id.as_uuid()))
        .bind::<sql::Array<sql::Text>, _>(column(meters, |meter| meter.key.as_str()))
        .bind::<sql::Array<sql::Text>, _>(column(meters, |meter| meter.aggregation.as_str()))
        .bind::<sql::Timestamptz, _>(query.from)
        .bind::<sql::Timestamptz, _>(query.to)
        .bind::<sql::Nullable<sql::Uuid>, _>(query.project_id.map(ProjectId::as_uuid))
        .bind::<sql::Nullable<sql::Text>, _>(page.as_of)
        .bind::<sql::Timestamptz, _>(quarter_of(query.from))
        .bind::<sql::Timestamptz, _>(quarter_of(query.to))
        .bind::<sql::Bool, _>(query.with_empty)
        .bind::<sql::Nullable<sql::Array<sql::Timestamptz>>, _>(starts)
        .bind::<sql::Bool, _>(query.group_by.project)
        .bind::<sql::Bool, _>(query.group_by.user)
        .bind::<sql::Bool, _>(query.group_by.model)
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.metric))
        .bind::<sql::Nullable<sql::Timestamptz>, _>(after.as_ref().map(|after| after.bucket))
        .bind::<sql::Nullable<sql::Uuid>, _>(after.as_ref().map(|after| after.project_id))
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.user_id))
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.model))
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(after.as_ref().map(|after| after.dims))
        .bind::<sql::BigInt, _>(i64::from(page.limit))
        .bind::<sql::Nullable<sql::Array<sql::Uuid>>, _>(narrowed.projects)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(narrowed.users)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(narrowed.models)
        .bind::<sql::Array<sql::Text>, _>(narrowed.names)
        .bind::<sql::Array<sql::Text>, _>(narrowed.pairs)
        .bind::<sql::Array<sql::Text>, _>(column(&query.group_by.dimensions, String::as_str))
        .load(conn)
        .map_err(store_error)?;
    answers
        .into_iter()
        .map(|answer| answer.into_row(query))
        .collect()
}

fn column<'a, R: 'a, T>(rows: impl IntoIterator<Item = &'a R>, of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.into_iter().map(of).collect()
}

fn shape_of(query: &UsageQuery) -> Shape {
    let (group_by, filter) = (&query.group_by, &query.filter);
    let has = |aggregation| {
        let mut meters = query.meters.iter();
        meters.any(|meter| meter.aggregation == aggregation)
    };
    Shape {
        has_latest: has(Aggregation::Latest),
        has_unique: has(Aggregation::Unique),
        is_filtered: !(filter.projects.is_empty()
            && filter.users.is_empty()
            && filter.models.is_empty()),
        filters: filter.dimensions.len(),
        groups: group_by.dimensions.len(),
    }
}

/// A filter as parameters; what is not narrowed down is nothing.
struct Narrowed<'a> {
    projects: Option<Vec<Uuid>>,
    users: Option<Vec<&'a str>>,
    models: Option<Vec<&'a str>>,
    /// Names of dimensions.
    names: Vec<&'a str>,
    /// `name=value` of every alternative. No name holds a `=`.
    pairs: Vec<String>,
}

impl<'a> Narrowed<'a> {
    fn of(filter: &'a Filter) -> Self {
        let id = |id: &Option<ProjectId>| id.map_or(Uuid::nil(), ProjectId::as_uuid);
        let projects = column(&filter.projects, id);
        let texts = |texts: &'a BTreeSet<String>| {
            Some(column(texts, String::as_str)).filter(|texts| !texts.is_empty())
        };
        let alternatives = filter.dimensions.iter();
        let pairs = alternatives.flat_map(|(name, values)| {
            let pairs = values.iter();
            pairs.map(move |value| format!("{name}={value}"))
        });
        Self {
            projects: Some(projects).filter(|projects| !projects.is_empty()),
            users: texts(&filter.users),
            models: texts(&filter.models),
            names: column(filter.dimensions.keys(), String::as_str),
            pairs: pairs.collect(),
        }
    }
}

/// The sort key of a cursor.
struct Behind<'a> {
    metric: &'a str,
    bucket: OffsetDateTime,
    project_id: Uuid,
    user_id: &'a str,
    model: &'a str,
    dims: &'a [String],
}

impl<'a> Behind<'a> {
    fn of(after: &'a After) -> Result<Self, StoreError> {
        let (metric, micros, project_id, user_id, model, dims) = after;
        let bucket = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1000)
            .map_err(|_| unreadable("cursor", micros))?;
        Ok(Self {
            metric,
            bucket,
            project_id: *project_id,
            user_id,
            model,
            dims,
        })
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = sql::Uuid)]
    meter_id: Uuid,
    #[diesel(sql_type = sql::Timestamptz)]
    bucket: OffsetDateTime,
    #[diesel(sql_type = sql::Uuid)]
    project_id: Uuid,
    #[diesel(sql_type = sql::Text)]
    user_id: String,
    #[diesel(sql_type = sql::Text)]
    model: String,
    #[diesel(sql_type = sql::Array<sql::Text>)]
    dims: Vec<String>,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
}

impl Answer {
    fn into_row(self, query: &UsageQuery) -> Result<UsageRow, StoreError> {
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        let mut meters = query.meters.iter();
        let meter = meters
            .find(|meter| meter.id.as_uuid() == self.meter_id)
            .ok_or_else(|| unreadable("meter", self.meter_id))?;
        Ok(UsageRow {
            metric: meter.key.clone(),
            aggregation: meter.aggregation,
            unit: meter.unit.clone(),
            bucket: self.bucket,
            quantity: self.quantity.into(),
            project_id: Some(self.project_id)
                .filter(|id| !id.is_nil())
                .map(ProjectId::from),
            user_id: known(self.user_id),
            model: known(self.model),
            dimensions: (query.group_by.dimensions.iter().cloned())
                .zip(self.dims.into_iter().map(known))
                .collect(),
        })
    }
}
