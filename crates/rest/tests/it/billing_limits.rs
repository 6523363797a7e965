//! What happens at a limit, and where it is told.

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Jsonb};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    billing_overrides::give,
    harness::{Person, TestApp, text},
};

async fn put(person: &Person<'_>, number: usize) -> (StatusCode, Value) {
    let path = format!("/v1/resources/agents/{number}");
    person.put(&path, Value::Null).await
}

async fn check(person: &Person<'_>, key: &str) -> Value {
    let (status, body) = person
        .post("/v1/entitlements/check", json!({ "key": key }))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn entitlement(person: &Person<'_>, key: &str) -> Value {
    let (_, body) = person.get("/v1/entitlements").await;
    let mut all = body["data"].as_array().unwrap().iter();
    all.find(|one| one["key"] == key).unwrap().clone()
}

#[actix_web::test]
async fn a_soft_limit_says_over_wherever_it_lets_through() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    give(
        &ann,
        "max_agents",
        json!({ "limit": 1, "enforcement": "soft" }),
    )
    .await;
    let (status, body) = put(&ann, 1).await;
    assert_eq!((status, body.get("over")), (StatusCode::CREATED, None));
    let over = json!({ "allowed": true, "limit": 1, "used": 1, "remaining": 0, "over": true });
    assert_eq!(check(&ann, "max_agents").await, over);
    let (status, body) = put(&ann, 2).await;
    assert_eq!((status, &body["over"]), (StatusCode::CREATED, &json!(true)));
    let (status, body) = put(&ann, 2).await;
    assert_eq!((status, body.get("over")), (StatusCode::OK, None));
    let wish = json!({ "key": "max_agents", "quantity": 1, "ttl_seconds": 60 });
    let (status, body) = ann.post("/v1/quota/reservations", wish).await;
    assert_eq!((status, &body["over"]), (StatusCode::CREATED, &json!(true)));
    let expected = json!({
        "key": "max_agents", "kind": "limit", "limit": 1, "used": 3, "remaining": 0, "resets_at": null,
        "enforcement": "soft", "over_limit": true,
    });
    assert_eq!(entitlement(&ann, "max_agents").await, expected);
}

#[actix_web::test]
async fn grace_ends_in_the_refusal_of_a_hard_limit() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let grace = json!({ "limit": 2, "grace_percent": 50, "grace_seconds": 3600 });
    give(&ann, "max_agents", grace).await;
    for number in 1..=3 {
        let (status, body) = put(&ann, number).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(body.get("over").is_some(), number > 2);
    }
    let (status, body) = put(&ann, 4).await;
    let facts = (
        status,
        &body["limit"],
        &body["max"],
        &body["used"],
        &body["plan"],
    );
    let expected = (
        StatusCode::PAYMENT_REQUIRED,
        &json!("max_agents"),
        &json!(2),
        &json!(3),
        &json!("free"),
    );
    assert_eq!(facts, expected);
    let told = entitlement(&ann, "max_agents").await;
    let facts = (
        &told["enforcement"],
        &told["grace_limit"],
        &told["over_limit"],
    );
    assert_eq!(facts, (&json!("grace"), &json!(3), &json!(true)));
    assert!(told["grace_ends_at"].is_string(), "{told}");
}

#[actix_web::test]
async fn members_are_held_to_an_enforcement_as_everything_else() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    give(
        &ann,
        "max_members",
        json!({ "limit": 1, "grace_percent": 100 }),
    )
    .await;
    let invite = |name: &str| {
        let body = json!({ "email": format!("{name}@example.com"), "role": "member" });
        ann.post("/v1/invitations", body)
    };
    assert_eq!(invite("bob").await.0, StatusCode::CREATED);
    let (status, body) = invite("cay").await;
    let facts = (status, &body["max"], &body["used"]);
    assert_eq!(facts, (StatusCode::PAYMENT_REQUIRED, &json!(1), &json!(2)));
}

#[actix_web::test]
async fn a_quota_by_the_day_resets_with_the_tenants_day() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    give(
        &ann,
        "exports",
        json!({ "limit": 5, "period": "calendar_day" }),
    )
    .await;
    let told = entitlement(&ann, "exports").await;
    assert_eq!(told["period"], "calendar_day");
    let resets_at = text(&told["resets_at"]);
    assert!(resets_at.ends_with("T00:00:00Z"), "{resets_at}");
    assert_eq!(
        entitlement(&ann, "tasks_per_month").await["period"],
        "billing_month"
    );
}

#[actix_web::test]
async fn a_downgrade_grandfathers_and_says_so_everywhere() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("enterprise").await;
    for number in 0..12 {
        assert_eq!(put(&ann, number).await.0, StatusCode::CREATED);
    }
    let order = json!({ "plan": "free", "when": "now" });
    let (status, body) = ann.post("/v1/subscription/change", order).await;
    assert_eq!(status, StatusCode::OK);
    let over = &body["over_limit"][0];
    let facts = (
        &over["key"],
        &over["limit"],
        &over["used"],
        &over["over_limit"],
    );
    let expected = (&json!("max_agents"), &json!(10), &json!(12), &json!(true));
    assert_eq!(facts, expected);
    let told = entitlement(&ann, "max_agents").await;
    assert_eq!(
        (&told["used"], &told["over_limit"]),
        (&json!(12), &json!(true))
    );
    assert_eq!(put(&ann, 99).await.0, StatusCode::PAYMENT_REQUIRED);
    let (_, list) = ann.get("/v1/resources/agents").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 12);
    let (_, trail) = ann
        .get("/v1/audit-events?action=entitlement.grandfathered")
        .await;
    let event = &trail["data"][0];
    assert_eq!(event["target"]["id"], "max_agents");
    let facts = (
        &event["fields"]["limit"],
        &event["fields"]["used"],
        &event["fields"]["plan"],
    );
    assert_eq!(facts, (&json!("10"), &json!("12"), &json!("free")));
}

#[derive(QueryableByName)]
struct Fact {
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

#[actix_web::test]
async fn others_are_told_once_that_a_limit_is_nearly_reached() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for number in 0..11 {
        put(&ann, number).await;
    }
    let mut conn = PgConnection::establish(&app.db.superuser_url()).unwrap();
    let facts: Vec<Fact> = sql_query(
        "select payload from outbox where topic = 'entitlement.threshold_reached' order by id",
    )
    .load(&mut conn)
    .unwrap();
    let (_, subscription) = ann.get("/v1/subscription").await;
    let period = json!({
        "start": subscription["current_period_start"], "end": subscription["current_period_end"],
    });
    let agents: Vec<Value> = facts
        .into_iter()
        .map(|fact| fact.payload)
        .filter(|payload| payload["key"] == "max_agents")
        .collect();
    let told = |threshold: i64, used: i64| {
        json!({
            "key": "max_agents", "kind": "limit", "plan": "free", "limit": 10, "used": used, "threshold": threshold,
            "period": period,
        })
    };
    assert_eq!(agents, [told(80, 8), told(100, 10)]);
}

#[actix_web::test]
async fn whoever_lost_an_answer_finds_the_reservation() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let mut made = Vec::new();
    for quantity in 1..=3 {
        let wish = json!({ "key": "tasks_per_month", "quantity": quantity, "ttl_seconds": 60 });
        let (status, body) = ann.post("/v1/quota/reservations", wish).await;
        assert_eq!(status, StatusCode::CREATED);
        made.insert(0, body);
    }
    let release = format!("/v1/quota/reservations/{}/release", text(&made[0]["id"]));
    let (_, released) = ann.post(&release, Value::Null).await;
    let (_, first) = ann.get("/v1/reservations?limit=2").await;
    assert_eq!(first["data"], json!([released, made[1]]));
    let next = format!(
        "/v1/reservations?limit=2&cursor={}",
        text(&first["next_cursor"])
    );
    let (_, second) = ann.get(&next).await;
    assert_eq!(second, json!({ "data": [made[2]], "next_cursor": null }));
    let open = "/v1/reservations?status=open&key=tasks_per_month";
    let (_, open) = ann.get(open).await;
    assert_eq!(open["data"], json!([made[1], made[2]]));
    assert_eq!(
        ann.get("/v1/reservations?key=else").await.1["data"],
        json!([])
    );
    assert_eq!(bob.get("/v1/reservations").await.1["data"], json!([]));
    for wrong in ["status=lost", "cursor=zz", "limit=0", "key=a%00b"] {
        let (status, body) = ann.get(&format!("/v1/reservations?{wrong}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong} {body}");
    }
}
