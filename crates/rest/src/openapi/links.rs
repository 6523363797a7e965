//! Which answer leads to which operation.
//!
//! What is made under `/v1/things`, and what is listed there, can be read, changed and removed under `/v1/things/{id}`: the operations of
//! such a path are linked from the answers of its collection. The few that lead elsewhere are named in [`OTHERS`].

use actix_web::http::Method;
use utoipa::openapi::{OpenApi as Document, RefOr, link::Link, link::LinkBuilder};

use super::operations;

/// An operation, the status of its answer, the operation it leads to, and what that one is given.
type Other = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const RESOURCE: &[(&str, &str)] = &[
    ("kind", "$request.path.kind"),
    ("external_id", "$request.path.external_id"),
];

const OTHERS: [Other; 5] = [
    ("resources_put", "201", "resources_remove", RESOURCE),
    ("resources_put", "200", "resources_remove", RESOURCE),
    (
        "resources_put",
        "201",
        "resources_list",
        &[("kind", "$request.path.kind")],
    ),
    (
        "meters_create",
        "201",
        "usage_read",
        &[("metric", "$response.body#/key")],
    ),
    (
        "api_keys_rotate",
        "201",
        "api_keys_read",
        &[("id", "$response.body#/id")],
    ),
];

/// An operation below a collection.
struct Below {
    collection: String,
    parameter: String,
    id: String,
}

/// Adds the links.
pub(super) fn add(document: &mut Document) {
    let below = below(document);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let own = operation.operation_id.clone().unwrap_or_default();
            let of_path = below.iter().filter(|below| below.collection == *path);
            let (status, place) = match method {
                Method::POST => ("201", "$response.body#"),
                Method::GET => ("200", "$response.body#/data/0"),
                _ => ("", ""),
            };
            let of_path = of_path.map(|below| {
                // An id is called `id` where it is the thing's own; a member has the person's.
                let value = format!("{place}/{}", below.parameter);
                (
                    status,
                    below.id.clone(),
                    vec![(below.parameter.clone(), value)],
                )
            });
            let named = OTHERS.iter().filter(|other| other.0 == own);
            let named = named.map(|(_, status, to, given)| {
                let given = given
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                (*status, (*to).to_owned(), given.collect())
            });
            for (status, to, given) in of_path.chain(named) {
                if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
                    response.links.insert(to.clone(), RefOr::T(link(to, given)));
                }
            }
        }
    }
}

/// Operations whose path is a collection, one id, and perhaps a verb or a part.
fn below(document: &mut Document) -> Vec<Below> {
    let mut found = Vec::new();
    for (path, item) in &mut document.paths.paths {
        let Some((collection, rest)) = path.split_once("/{") else {
            continue;
        };
        let Some((parameter, rest)) = rest.split_once('}') else {
            continue;
        };
        if rest.contains('{') {
            continue;
        }
        for (_, operation) in operations(item) {
            found.push(Below {
                collection: collection.to_owned(),
                parameter: parameter.to_owned(),
                id: operation.operation_id.clone().unwrap_or_default(),
            });
        }
    }
    found
}

fn link(to: String, given: Vec<(String, String)>) -> Link {
    let link = LinkBuilder::new().operation_id(to);
    given
        .into_iter()
        .fold(link, |link, (name, value)| link.parameter(name, value))
        .build()
}
