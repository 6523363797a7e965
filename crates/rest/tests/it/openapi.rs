//! The contract that is committed is the one that is served.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestApp, read};

#[test]
fn the_committed_contract_is_the_one_of_the_routes() {
    let wanted = format!("{}\n", rest::openapi::document().to_pretty_json().unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == wanted,
        "docs/openapi.json has drifted: run `just openapi` and commit it"
    );
}

#[actix_web::test]
async fn contract_page_health_and_metrics_are_served() {
    let app = TestApp::start().await;
    let get = |path: &str| app.request(Method::GET, path).send();
    let (status, document) = read(get("/openapi.json").await.unwrap()).await;
    assert_eq!(
        (status, document["openapi"].as_str().unwrap()),
        (StatusCode::OK, "3.1.0")
    );
    assert_eq!(get("/healthz").await.unwrap().status(), StatusCode::OK);
    assert_eq!(get("/readyz").await.unwrap().status(), StatusCode::OK);
    let page = get("/docs/").await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(
        page.text().await.unwrap().contains("swagger"),
        "the page at /docs shows the contract"
    );
    assert!(get("/docs").await.unwrap().status().is_redirection());
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("plinth_http_request_seconds_bucket"),
        "{metrics}"
    );
    assert!(metrics.contains("plinth_db_connections_open"), "{metrics}");
}

#[test]
fn every_operation_has_a_summary_and_a_name_of_its_own() {
    let document = serde_json::to_value(rest::openapi::document()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                !name.is_empty() && names.insert(name.to_owned()),
                "{method} {path}: {name:?} is no name of its own"
            );
            let told = operation["summary"]
                .as_str()
                .or(operation["description"].as_str());
            assert!(
                told.is_some_and(|text| !text.is_empty()),
                "{method} {path} says nothing"
            );
        }
    }
}

fn operations(document: &Value) -> BTreeMap<&str, &Value> {
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    operations
        .map(|operation| (name_of(operation), operation))
        .collect()
}

fn name_of(operation: &Value) -> &str {
    operation["operationId"].as_str().unwrap()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str();
    target.map_or(value, |target| document.pointer(&target[1..]).unwrap())
}

#[test]
fn every_refusal_is_a_problem() {
    let document = serde_json::to_value(rest::openapi::document()).unwrap();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = &resolve(&document, response)["content"];
            let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
            assert_eq!(
                status.as_str() >= "400",
                content["application/problem+json"] == problem,
                "{name} {status}"
            );
        }
    }
}

#[test]
fn every_link_gives_an_operation_parameters_that_it_has() {
    let document = serde_json::to_value(rest::openapi::document()).unwrap();
    let all = operations(&document);
    let mut linked = BTreeSet::new();
    for (name, operation) in &all {
        let responses = operation["responses"].as_object().unwrap().values();
        let links = responses.filter_map(|response| response["links"].as_object());
        for link in links.flat_map(|links| links.values()) {
            let to = name_of(link);
            let parameters = all[to]["parameters"].as_array().unwrap();
            for given in link["parameters"].as_object().unwrap().keys() {
                let has = parameters
                    .iter()
                    .any(|parameter| parameter["name"] == **given);
                assert!(has, "{name} gives {to} a {given}");
            }
            linked.insert(to);
        }
    }
    // Whatever is about one thing is reached from where things are made or listed. Operators find a tenant by its id.
    let paths = document["paths"].as_object().unwrap().iter();
    let of_one_thing =
        paths.filter(|(path, _)| path.contains('{') && !path.starts_with("/v1/admin/"));
    for operation in of_one_thing.flat_map(|(_, item)| item.as_object().unwrap().values()) {
        let name = name_of(operation);
        assert!(
            linked.contains(name) || name == "resources_put",
            "no link leads to {name}"
        );
    }
}
