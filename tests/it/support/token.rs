//! A token server for a real registry, as the token specification of distribution has it: signed with a key whose
//! certificate the registry trusts.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

/// What the registry and the server call each other.
pub(crate) const SERVICE: &str = "test-registry";
pub(crate) const ISSUER: &str = "test-issuer";

/// How long a token lives.
const LIFE_SECONDS: i64 = 3600;

/// Gives tokens for every repository to whoever has the login, and to everybody where there is none.
pub(crate) struct TokenServer {
    dir: tempfile::TempDir,
    address: SocketAddr,
    scopes: Arc<Mutex<Vec<String>>>,
}

struct Signer {
    key: EcdsaKeyPair,
    /// The certificate, DER in base64.
    certificate: String,
    login: Option<String>,
    scopes: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Starts one; `None` where it is to be skipped (see [`super::need`]).
    pub(crate) fn start(login: Option<(&str, &str)>) -> Option<Self> {
        super::need("openssl")?;
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-issuer -keyout key.pem -out cert.pem",
        );
        openssl(dir.path(), "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
        openssl(dir.path(), "x509 -in cert.pem -outform DER -out cert.der");
        let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        let random = SystemRandom::new();
        let key = file("key.der");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random);
        let scopes = Arc::<Mutex<Vec<String>>>::default();
        let signer = Signer {
            key: key.expect("a key of openssl"),
            certificate: STANDARD.encode(file("cert.der")),
            login: login.map(|(user, password)| STANDARD.encode(format!("{user}:{password}"))),
            scopes: Arc::clone(&scopes),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the process: whoever asks is a child or a part of it.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                signer.answer(stream).ok();
            }
        });
        Some(Self { dir, address, scopes })
    }

    /// Where tokens are.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// What the registry is to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// The scopes that were asked for since the last call.
    pub(crate) fn scopes(&self) -> Vec<String> {
        std::mem::take(&mut *self.scopes.lock().unwrap())
    }
}

impl Signer {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut login = None;
        for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("authorization") {
                login = value.trim().strip_prefix("Basic ").map(str::to_owned);
            }
        }
        let address = request.split(' ').nth(1).unwrap_or_default();
        let url =
            url::Url::parse(&format!("http://host{address}")).map_err(std::io::Error::other)?;
        let scope = url.query_pairs().find(|(name, _)| name == "scope");
        let scope = scope.map(|(_, scope)| scope.into_owned()).unwrap_or_default();
        let (status, body) = match self.login.is_none() || self.login == login {
            true => ("200 OK", json!({"token": self.token(&scope), "expires_in": LIFE_SECONDS})),
            false => ("401 Unauthorized", json!({"details": "incorrect username or password"})),
        };
        self.scopes.lock().unwrap().push(scope);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())
    }

    /// A token for `repository:NAME:ACTIONS`.
    fn token(&self, scope: &str) -> String {
        let parts: Vec<&str> = scope.split(':').collect();
        let access = match parts[..] {
            [kind, name, actions] => {
                let actions: Vec<&str> = actions.split(',').collect();
                json!([{"type": kind, "name": name, "actions": actions}])
            }
            _ => json!([]),
        };
        let now = jiff::Timestamp::now().as_second();
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": "test", "aud": SERVICE, "jti": scope, "access": access,
            "iat": now, "nbf": now - 5, "exp": now + LIFE_SECONDS,
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(head), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn openssl(dir: &Path, line: &str) {
    let output =
        Command::new("openssl").args(line.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
