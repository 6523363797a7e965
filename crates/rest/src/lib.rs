//! The REST API: actix routes, problem+json and OpenAPI.
