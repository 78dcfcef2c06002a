//! For tests: an issuer's side, made with jsonwebtoken. Keys of every algorithm, tokens signed with them, and a key set that can change, be
//! down, and counts who asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use aws_lc_rs::{encoding, rsa};
use bytes::Bytes;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use crate::config::resolved::grants::Issuer as Rules;
use crate::issuers::fetch::Fetch;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// A key pair of an issuer.
pub(crate) struct Pair {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
}

impl Pair {
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::ES256 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                EncodingKey::from_ec_der(pkcs8.as_ref())
            }
            Algorithm::EdDSA => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref()),
            _ => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
                let pkcs8: encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                // The PKCS#1 key inside: what stands before it has the same length for all keys of this size.
                EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..])
            }
        };
        Self { kid: kid.to_owned(), algorithm, key }
    }

    /// Its entry of a key set.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token of it.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    /// A token of it with a changed header.
    pub(crate) fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// Claims that the rules accept.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW, "sub": "auth0|77",
            "org_id": 1_825_529, "uid": 4_012_689, "scope": "read", "plan": "pro" })
}

/// What the issuer's table says.
pub(crate) fn rules() -> Rules {
    Rules {
        name: "own".to_owned(),
        issuer: ISSUER.to_owned(),
        jwks_url: Some("https://login.example.com/keys".parse().unwrap()),
        audience: vec!["https://other.example.com".to_owned(), AUDIENCE.to_owned()],
        account: Some("org_id".to_owned()),
        user: Some("uid".to_owned()),
        required: vec![("plan".to_owned(), Some("pro".to_owned())), ("scope".to_owned(), None)],
    }
}

/// A set of these keys.
pub(crate) fn set(pairs: &[&Pair]) -> Value {
    json!({ "keys": pairs.iter().map(|pair| pair.jwk()).collect::<Vec<_>>() })
}

/// An issuer's web site.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) keys: Arc<watch::Sender<String>>,
    pub(crate) down: Arc<AtomicBool>,
    pub(crate) fetches: Arc<AtomicUsize>,
}

impl Site {
    pub(crate) fn new(pairs: &[&Pair]) -> Self {
        let keys = Arc::new(watch::Sender::new(set(pairs).to_string()));
        Self { keys, down: Arc::default(), fetches: Arc::default() }
    }

    pub(crate) fn publish(&self, pairs: &[&Pair]) {
        self.keys.send_replace(set(pairs).to_string());
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn goes_down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn comes_up(&self) {
        self.down.store(false, Ordering::SeqCst);
    }
}

impl Fetch for Site {
    async fn get(&self, url: &Url) -> Result<Bytes, String> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(format!("{url} is down"));
        }
        Ok(Bytes::from(self.keys.borrow().clone()))
    }
}
