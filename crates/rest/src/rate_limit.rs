//! How fast callers may be: GCRA, exact under concurrency, counted in this process.
//!
//! Each principal has an allowance in each of its tenants; signing in has one for each address. Answers say how much is left in `RateLimit`,
//! and a refusal says in `Retry-After` when to come back.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use actix_web::{
    dev::ServiceRequest,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, QuantaClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use kernel::Principal;
use uuid::Uuid;

use crate::Problem;

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, QuantaClock, StateInformationMiddleware>;
type Caller = (Option<Uuid>, Uuid);

/// The limits of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct RateLimits {
    requests: Option<Arc<Limiter<Caller>>>,
    sign_ins: Option<Arc<Limiter<IpAddr>>>,
}

/// How a caller stands with its limit; shown in the answer.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    limit: u32,
    remaining: u32,
}

impl Standing {
    /// Writes the `RateLimit` headers of draft-ietf-httpapi-ratelimit-headers.
    pub(crate) fn show(self, headers: &mut HeaderMap) {
        let state = format!("\"default\";r={}", self.remaining);
        let policy = format!("\"default\";q={};w=1", self.limit);
        for (name, value) in [("ratelimit", state), ("ratelimit-policy", policy)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Paths that are limited by the client's address: nobody has signed in yet.
const SIGN_IN: [&str; 3] = ["/v1/auth/login", "/v1/auth/register", "/v1/auth/refresh"];

impl RateLimits {
    /// `per_second` requests of one principal in one tenant and `burst` at once; `sign_ins` attempts a minute from one address. 0 is
    /// without limit.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, sign_ins: u32) -> Self {
        let burst = NonZeroU32::new(burst);
        let requests = NonZeroU32::new(per_second)
            .map(|rate| Quota::per_second(rate).allow_burst(burst.unwrap_or(rate)));
        Self {
            requests: requests.map(|quota| Arc::new(limiter(quota))),
            sign_ins: NonZeroU32::new(sign_ins)
                .map(|rate| Arc::new(limiter(Quota::per_minute(rate)))),
        }
    }

    /// Counts a request of `principal`.
    ///
    /// # Errors
    /// 429 `request.rate_limited`.
    pub fn admit(&self, principal: &Principal) -> Result<Option<Standing>, Problem> {
        let Some(limiter) = &self.requests else {
            return Ok(None);
        };
        let tenant = principal
            .grant
            .as_ref()
            .map(|grant| grant.tenant_id.as_uuid());
        match limiter.check_key(&(tenant, principal.id)) {
            Ok(state) => Ok(Some(Standing {
                limit: state.quota().burst_size().get(),
                remaining: state.remaining_burst_capacity(),
            })),
            Err(refused) => Err(too_fast(
                refused.wait_time_from(QuantaClock::default().now()),
            )),
        }
    }

    /// Counts an attempt to sign in or to register.
    ///
    /// # Errors
    /// 429 `request.rate_limited`.
    pub(crate) fn admit_sign_in(&self, request: &ServiceRequest) -> Result<(), Problem> {
        // The path as the router reads it, with `%69` for what it stands for.
        let (Some(limiter), true) = (
            &self.sign_ins,
            SIGN_IN.contains(&request.match_info().as_str()),
        ) else {
            return Ok(());
        };
        let Some(address) = crate::edge::info_of(request.request()).source_ip else {
            return Ok(());
        };
        match limiter.check_key(&address) {
            Ok(_) => Ok(()),
            Err(refused) => Err(too_fast(
                refused.wait_time_from(QuantaClock::default().now()),
            )),
        }
    }

    /// Forgets callers who have been quiet long enough to have their whole allowance again. Call it every minute or so.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.requests {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.sign_ins {
            limiter.retain_recent();
        }
    }
}

fn limiter<K: Clone + Eq + std::hash::Hash>(quota: Quota) -> Limiter<K> {
    RateLimiter::dashmap_with_clock(quota, QuantaClock::default()).with_middleware()
}

fn too_fast(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "request.rate_limited",
        "Too many requests; come back later.",
    )
    .header(header::RETRY_AFTER, seconds.max(1))
}
