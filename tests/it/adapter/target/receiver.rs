//! A receiver of webhooks that notes what it gets, remembers keys and answers what it is told to.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};

/// One request as it came.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Inner {
    received: Vec<Received>,
    answers: VecDeque<Response<Body>>,
    keys: BTreeSet<String>,
    effects: usize,
}

/// The receiver; its server ends with the runtime of the test.
pub(crate) struct Receiver {
    pub(crate) url: url::Url,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    /// Starts one; a request for which no answer is set is done once per key, and a repetition is told so by 409.
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let app = axum::Router::new().fallback(handle).with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inner }
    }

    /// Sets the next answer.
    pub(crate) fn answer(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Body>) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.inner.lock().unwrap().answers.push_back(response.body(body.into()).unwrap());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inner.lock().unwrap().received.clone()
    }

    pub(crate) fn effects(&self) -> usize {
        self.inner.lock().unwrap().effects
    }
}

async fn handle(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut inner = inner.lock().unwrap();
    let is_question = method == Method::GET;
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    inner.received.push(Received { method, path: uri.path().into(), headers, body });
    if let Some(answer) = inner.answers.pop_front() {
        return answer;
    }
    if is_question {
        // Until something else is said: it goes on.
        return Response::new(Body::from("{\"state\": \"Running\"}"));
    }
    let is_new = inner.keys.insert(key.unwrap_or_default());
    inner.effects += usize::from(is_new);
    let status = if is_new { 200 } else { 409 };
    Response::builder().status(status).body(Body::empty()).unwrap()
}
