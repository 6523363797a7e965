//! `/metrics`, for Prometheus.

use std::time::Duration;

use actix_web::{HttpResponse, get, web::Data};
use prometheus::{HistogramOpts, HistogramVec, IntGauge, Registry, TextEncoder};

use crate::{Problem, Services};

/// Two metrics have one name: a defect.
pub use prometheus::Error as MetricsError;

/// What the API counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    connections_in_use: IntGauge,
    connections_open: IntGauge,
}

impl Metrics {
    /// Empty counters.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let requests = HistogramVec::new(
            HistogramOpts::new("plinth_http_request_seconds", "Time to answer a request").buckets(
                vec![
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
                ],
            ),
            &["method", "route", "status"],
        )?;
        let connections_in_use = IntGauge::new(
            "plinth_db_connections_in_use",
            "Connections that a transaction holds",
        )?;
        let connections_open =
            IntGauge::new("plinth_db_connections_open", "Connections of the pool")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(connections_in_use.clone()))?;
        registry.register(Box::new(connections_open.clone()))?;
        Ok(Self {
            registry,
            requests,
            connections_in_use,
            connections_open,
        })
    }

    /// Counts an answered request.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        self.requests
            .with_label_values(&[method, route, &status.to_string()])
            .observe(elapsed.as_secs_f64());
    }
}

/// Counters and histograms in Prometheus' text format.
#[utoipa::path(
    tag = "operations",
    security(()),
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain"))
)]
#[get("/metrics")]
pub(crate) async fn metrics(services: Data<Services>) -> Result<HttpResponse, Problem> {
    let metrics = &services.metrics;
    let (in_use, open) = services.database.connections();
    metrics
        .connections_in_use
        .set(i64::try_from(in_use).unwrap_or(i64::MAX));
    metrics
        .connections_open
        .set(i64::try_from(open).unwrap_or(i64::MAX));
    let text = TextEncoder::new()
        .encode_to_string(&metrics.registry.gather())
        .map_err(Problem::unexpected)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(text))
}
