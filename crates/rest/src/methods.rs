//! Which methods a path has: what answers 405 instead of 404.

use std::collections::HashMap;

use actix_web::{
    dev::ResourceDef,
    http::{Method, StatusCode, header},
};
use utoipa::openapi::{OpenApi as Document, PathItem};

use crate::Problem;

/// The paths of the contract and their methods.
#[derive(Clone)]
pub(crate) struct Methods {
    exact: HashMap<String, Allowed>,
    templates: Vec<(ResourceDef, Allowed)>,
}

/// Methods of one path.
#[derive(Debug, Clone)]
struct Allowed(Vec<Method>);

impl Methods {
    pub(crate) fn of(document: &Document) -> Self {
        let (mut exact, mut templates) = (HashMap::new(), Vec::new());
        for (path, item) in &document.paths.paths {
            let allowed = Allowed::of(item);
            if path.contains('{') {
                templates.push((ResourceDef::new(path.as_str()), allowed));
            } else {
                exact.insert(path.clone(), allowed);
            }
        }
        Self { exact, templates }
    }

    /// Refuses a method that a path without parameters does not have. `/v1/things/verify` is not the thing whose id is `verify`, whatever
    /// the method.
    ///
    /// # Errors
    /// 405 `request.method_not_allowed`.
    pub(crate) fn admit(&self, method: &Method, path: &str) -> Result<(), Problem> {
        match self.exact.get(path) {
            Some(allowed) if !allowed.0.contains(method) => Err(allowed.refuse(method)),
            _ => Ok(()),
        }
    }

    /// Why no route took the request: its path has other methods, or there is no such path.
    pub(crate) fn unrouted(&self, method: &Method, path: &str) -> Problem {
        let template = self
            .templates
            .iter()
            .find(|(path_of, _)| path_of.is_match(path));
        match template {
            Some((_, allowed)) => allowed.refuse(method),
            None => Problem::new(
                StatusCode::NOT_FOUND,
                "request.no_such_route",
                format!("There is no {method} {path}."),
            ),
        }
    }
}

impl Allowed {
    fn of(item: &PathItem) -> Self {
        let all = [
            (Method::GET, item.get.is_some()),
            // Answered as GET is.
            (Method::HEAD, item.get.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PATCH, item.patch.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ];
        let has = all
            .into_iter()
            .filter_map(|(method, has)| has.then_some(method));
        Self(has.collect())
    }

    fn refuse(&self, method: &Method) -> Problem {
        let names: Vec<&str> = self.0.iter().map(Method::as_str).collect();
        let names = names.join(", ");
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "request.method_not_allowed",
            format!("This path has no {method}; it has {names}."),
        )
        .header(header::ALLOW, names)
    }
}
