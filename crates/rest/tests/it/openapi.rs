//! The contract that is committed is the one that is served.

use std::{collections::BTreeSet, fs, path::Path};

use reqwest::{Method, StatusCode};

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
