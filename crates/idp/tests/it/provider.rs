//! An identity provider on loopback.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use plinth_idp::{LocalIssuer, generate_signing_key};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::NOW;

/// A key of the provider.
pub(crate) struct SigningKey {
    kid: String,
    signs: EncodingKey,
    jwk: Value,
    public: String,
}

impl SigningKey {
    pub(crate) fn new(kid: &str) -> Self {
        let pem = generate_signing_key();
        let published =
            serde_json::to_value(LocalIssuer::new("any", &pem).unwrap().jwks()).unwrap();
        let mut jwk = published["keys"][0].clone();
        jwk["kid"] = json!(kid);
        let public = jwk["x"].as_str().unwrap().to_owned();
        let signs = EncodingKey::from_ed_pem(pem.expose_secret().as_bytes()).unwrap();
        Self {
            kid: kid.to_owned(),
            signs,
            jwk,
            public,
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.signs).unwrap()
    }

    pub(crate) fn public_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }
}

#[derive(Default)]
struct State {
    address: Mutex<String>,
    keys: Mutex<Value>,
    failing: AtomicBool,
    discoveries: AtomicUsize,
    fetches: AtomicUsize,
}

/// The provider; stops when its thread's runtime does, with the test process.
pub(crate) struct Provider(Arc<State>);

impl Provider {
    pub(crate) fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State::default());
        *state.address.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let data = web::Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route(
                    "/.well-known/openid-configuration",
                    web::get().to(discovery),
                )
                .route("/keys", web::get().to(keys_of))
                .route("/redirect", web::get().to(redirect))
                .route("/slow", web::get().to(slow))
        })
        .workers(1)
        .listen(listener)
        .unwrap()
        .run();
        actix_web::rt::spawn(server);
        let provider = Self(state);
        provider.publish(keys);
        provider
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.address.lock().unwrap())
    }

    pub(crate) fn issuer(&self) -> String {
        self.url("")
    }

    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        let mut published: Vec<Value> = keys.iter().map(|key| key.jwk.clone()).collect();
        // What a verifier must pass over: an algorithm from the future, and a shared secret.
        published.push(json!({"kty": "PQC", "kid": "future", "alg": "ML-DSA-65"}));
        published.push(json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}));
        *self.0.keys.lock().unwrap() = json!({ "keys": published });
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn discoveries(&self) -> usize {
        self.0.discoveries.load(Ordering::SeqCst)
    }

    pub(crate) fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn claims(&self) -> Value {
        json!({ "iss": self.issuer(), "sub": "ada", "exp": NOW.unix_timestamp() + 60 })
    }
}

async fn discovery(state: web::Data<State>) -> HttpResponse {
    state.discoveries.fetch_add(1, Ordering::SeqCst);
    let issuer = state.address.lock().unwrap().clone();
    HttpResponse::Ok().json(json!({ "jwks_uri": format!("{issuer}/keys"), "issuer": issuer }))
}

async fn keys_of(state: web::Data<State>) -> HttpResponse {
    state.fetches.fetch_add(1, Ordering::SeqCst);
    if state.failing.load(Ordering::SeqCst) {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().json(&*state.keys.lock().unwrap())
}

async fn redirect() -> HttpResponse {
    HttpResponse::Found()
        .insert_header(("location", "/keys"))
        .finish()
}

async fn slow(state: web::Data<State>) -> HttpResponse {
    actix_web::rt::time::sleep(Duration::from_secs(30)).await;
    keys_of(state).await
}
