//! What the kind `jwt` accepts: every algorithm, every confusion of two, claims, and what becomes of requests while keys rotate or cannot be had.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::config::resolved::grants::Issuer as Rules;
use crate::issuers::minter::{AUDIENCE, ISSUER, NOW, Pair, Site, claims, rules, set};
use crate::limits;

const ALL: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// One worker, and the issuer's keeper beside it.
struct Stage {
    issuer: Arc<Issuer>,
    copies: Copies,
    clock: Clock,
}

impl Stage {
    /// Within a runtime.
    fn new(site: &Site, rules: Rules) -> Self {
        let clock = Clock::standing_at(NOW);
        let (issuer, keeper) = Issuer::all(&[rules], &clock).pop().unwrap();
        tokio::spawn(keeper.run(site.clone()));
        Self { issuer, copies: Copies::default(), clock }
    }

    async fn judge(&self, token: &str) -> Result<Caller, Refusal> {
        let when = When { now: self.clock.unix_seconds(), leeway: 30 };
        let asked = AskedOfIssuer { issuer: &self.issuer, copies: &self.copies, when };
        let field = format!("Bearer {token}");
        judge_issued(std::iter::once(field.as_bytes()), None, &asked).await
    }

    async fn label(&self, token: &str) -> &'static str {
        match self.judge(token).await {
            Ok(_) => "ok",
            Err(Refusal::Unauthorized(why)) => why.label(),
            Err(Refusal::KeysDown) => "down",
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn run<T>(play: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play)
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

/// A token of any header, signed by nobody.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

#[test]
fn a_token_of_each_algorithm_is_accepted_and_says_who_calls() {
    run(async {
        let pairs = ALL.map(|algorithm| Pair::new(&format!("{algorithm:?}"), algorithm));
        let stage = Stage::new(&Site::new(&pairs.each_ref()), rules());
        for pair in &pairs {
            let caller = stage.judge(&pair.sign(&claims())).await.unwrap();
            assert_eq!(caller.ids(), Some((1_825_529, 4_012_689)), "{}", pair.kid);
            assert!(caller.claims().is_none() && caller.query_token().is_none());
            assert_eq!(caller.said().unwrap().account().unwrap(), "1825529");
        }
    });
}

#[test]
fn the_algorithm_is_the_key_s_and_never_the_header_s() {
    run(async {
        let pairs = ALL.map(|algorithm| Pair::new(&format!("{algorithm:?}"), algorithm));
        let stage = Stage::new(&Site::new(&pairs.each_ref()), rules());
        // The same RSA key under the other padding, signed correctly.
        let [rs, ps, es, ed] = &pairs;
        for (pair, other) in [(rs, Algorithm::PS256), (ps, Algorithm::RS256), (rs, Algorithm::RS512)] {
            let token = pair.sign_with(&claims(), |header| header.alg = other);
            assert_eq!(stage.label(&token).await, "algorithm", "{} as {other:?}", pair.kid);
        }
        // A header that names another key than the one that signed.
        for (pair, other) in [(es, rs), (rs, ps), (ed, es)] {
            let token = pair.sign_with(&claims(), |header| header.kid = Some(other.kid.clone()));
            assert_eq!(stage.label(&token).await, "algorithm", "{} under {}", pair.kid, other.kid);
        }
        // What everybody knows is no secret (RFC 8725, section 2.1).
        let public = set(&[rs]).to_string();
        let modulus = rs.jwk()["n"].as_str().unwrap().to_owned();
        for secret in [public.as_bytes(), modulus.as_bytes(), &URL_SAFE_NO_PAD.decode(&modulus).unwrap()] {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(rs.kid.clone());
            let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(stage.label(&token).await, "algorithm");
        }
        for alg in [json!("none"), json!("None"), json!(""), json!(null), json!(["RS256"]), json!("RS384")] {
            let token = unsigned(&json!({ "alg": alg, "kid": rs.kid }), &claims());
            assert_eq!(stage.label(&token).await, "algorithm", "{alg}");
        }
        assert_eq!(stage.label(&unsigned(&json!({ "alg": "RS256", "kid": rs.kid }), &claims())).await, "signature");
    });
}

#[test]
fn a_signature_of_another_key_or_of_other_claims_is_refused() {
    run(async {
        let [own, strange] = ["k", "k"].map(|kid| Pair::new(kid, Algorithm::ES256));
        let stage = Stage::new(&Site::new(&[&own]), rules());
        assert_eq!(stage.label(&strange.sign(&claims())).await, "signature");
        let (good, other) = (own.sign(&claims()), own.sign(&changed(|claims| claims["uid"] = json!(1))));
        let parts: Vec<_> = good.split('.').collect();
        let others: Vec<_> = other.split('.').collect();
        assert_eq!(stage.label(&[parts[0], others[1], parts[2]].join(".")).await, "signature");
        for (token, label) in [
            (format!("{good}="), "malformed"),
            (format!("{}.{}", parts[0], parts[1]), "malformed"),
            (format!("{good}.x.y"), "malformed"),
            (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(9000)), "malformed"),
            (String::new(), "missing"),
        ] {
            assert_eq!(stage.label(&token).await, label, "{token}");
        }
    });
}

#[test]
fn a_header_that_changes_what_is_read_is_refused() {
    run(async {
        let pair = Pair::new("k", Algorithm::ES256);
        let stage = Stage::new(&Site::new(&[&pair]), rules());
        for typ in ["JWT", "at+jwt", "application/at+jwt", "AT+JWT"] {
            let token = pair.sign_with(&claims(), |header| header.typ = Some(typ.to_owned()));
            assert_eq!(stage.label(&token).await, "ok", "{typ}");
        }
        for typ in ["logout+jwt", "dpop+jwt", "JOSE"] {
            let token = pair.sign_with(&claims(), |header| header.typ = Some(typ.to_owned()));
            assert_eq!(stage.label(&token).await, "malformed", "{typ}");
        }
        for member in
            [json!({ "crit": ["exp"] }), json!({ "b64": false }), json!({ "zip": "DEF" }), json!({ "kid": 1 })]
        {
            let mut header = json!({ "alg": "ES256", "kid": "k" });
            header.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
            assert_eq!(stage.label(&unsigned(&header, &claims())).await, "malformed", "{header}");
        }
        let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","kid":"k"}"#);
        assert_eq!(stage.label(&format!("{twice}.e30.AA")).await, "malformed");
        // Keys that the token brings along are nobody's.
        let token = pair.sign_with(&claims(), |header| {
            header.jku = Some("https://evil.example/keys".to_owned());
            header.jwk = serde_json::from_value(Pair::new("k", Algorithm::ES256).jwk()).ok();
        });
        assert_eq!(stage.label(&token).await, "ok");
    });
}

#[test]
fn claims_are_held_to_the_issuer_s_table() {
    run(async {
        let pair = Pair::new("k", Algorithm::EdDSA);
        let stage = Stage::new(&Site::new(&[&pair]), rules());
        let cases: [(&str, Value, &str); 30] = [
            ("iss", json!("https://login.example.com/"), "wrong_app"),
            ("iss", json!("https://evil.example"), "wrong_app"),
            ("iss", json!(null), "malformed"),
            ("iss", json!([ISSUER]), "malformed"),
            ("aud", json!("https://api.example.com.evil.org"), "audience"),
            ("aud", json!([]), "audience"),
            ("aud", json!(["a", AUDIENCE]), "ok"),
            ("aud", json!(["a", 1]), "malformed"),
            ("exp", json!(NOW - 30), "expired"),
            ("exp", json!(NOW - 29), "ok"),
            ("exp", json!("9999999999"), "malformed"),
            ("exp", json!(1.9e9), "malformed"),
            ("exp", json!(-1), "malformed"),
            ("exp", json!(null), "malformed"),
            ("exp", json!(18_446_744_073_709_551_615_u64), "malformed"),
            ("nbf", json!(NOW + 31), "not_yet_valid"),
            ("nbf", json!(NOW + 30), "ok"),
            ("nbf", json!("0"), "malformed"),
            ("iat", json!(NOW + 3600), "not_yet_valid"),
            ("plan", json!("free"), "wrong_kind"),
            ("plan", json!(["pro"]), "ok"),
            ("scope", json!(null), "wrong_kind"),
            ("scope", json!(["any", "thing"]), "ok"),
            ("plan", json!(["free", "pro"]), "ok"),
            ("plan", json!(["free"]), "wrong_kind"),
            ("plan", json!("free pro"), "wrong_kind"),
            ("org_id", json!("acme"), "ok"),
            ("org_id", json!({}), "ok"),
            ("uid", json!(1.5), "ok"),
            ("other", json!({ "a": [1, { "b": null }] }), "ok"),
        ];
        for (name, value, label) in cases {
            let token = pair.sign(&changed(|claims| claims[name] = value.clone()));
            assert_eq!(stage.label(&token).await, label, "{name} = {value}");
        }
        for (name, label) in [
            ("iss", "wrong_app"),
            ("aud", "audience"),
            ("exp", "malformed"),
            ("plan", "wrong_kind"),
            ("scope", "wrong_kind"),
            ("iat", "ok"),
            ("uid", "ok"),
        ] {
            let token = pair.sign(&changed(|claims| drop(claims.as_object_mut().unwrap().remove(name))));
            assert_eq!(stage.label(&token).await, label, "without {name}");
        }
    });
}

#[test]
fn a_required_scope_is_one_word_of_those_that_were_granted() {
    run(async {
        let pair = Pair::new("k", Algorithm::EdDSA);
        let site = Site::new(&[&pair]);
        for (wanted, scope, label) in [
            ("orders", json!("orders"), "ok"),
            ("orders", json!("read orders write"), "ok"),
            ("orders", json!(["read", "orders"]), "ok"),
            ("orders read", json!("read write orders"), "ok"),
            ("orders read", json!("orders"), "wrong_kind"),
            ("orders", json!("orders:read reorders"), "wrong_kind"),
            ("orders", json!({ "orders": "orders" }), "wrong_kind"),
            ("orders", json!(""), "wrong_kind"),
        ] {
            let required = vec![("scope".to_owned(), Some(wanted.to_owned()))];
            let stage = Stage::new(&site, Rules { required, ..rules() });
            let token = pair.sign(&changed(|claims| claims["scope"] = scope.clone()));
            assert_eq!(stage.label(&token).await, label, "{wanted}: {scope}");
        }
    });
}

#[test]
fn ids_are_made_of_configured_claims_only() {
    run(async {
        let pair = Pair::new("k", Algorithm::EdDSA);
        let site = Site::new(&[&pair]);
        let none = Stage::new(&site, Rules { account: None, user: None, ..rules() });
        let token = pair.sign(&changed(|claims| claims["accountId"] = json!(1)));
        let caller = none.judge(&token).await.unwrap();
        assert_eq!((caller.ids(), caller.account_id()), (None, None));
        assert!(caller.said().unwrap().account().is_none());
        let stage = Stage::new(&site, rules());
        let caller = stage.judge(&pair.sign(&changed(|claims| claims["org_id"] = json!("acme")))).await.unwrap();
        assert_eq!((caller.ids(), caller.said().unwrap().account().unwrap()), (None, "acme".into()));
    });
}

#[test]
fn keys_rotate_under_load_without_a_failed_request() {
    run(async {
        let [first, second] = ["first", "second"].map(|kid| Pair::new(kid, Algorithm::ES256));
        let site = Site::new(&[&first]);
        let stage = Stage::new(&site, rules());
        assert_eq!(stage.label(&first.sign(&claims())).await, "ok");
        site.publish(&[&second, &first]);
        let (old, new) = (first.sign(&claims()), second.sign(&claims()));
        let all = (0..200).map(|n| stage.label(if n % 2 == 0 { &old } else { &new }));
        let labels = futures_of(all).await;
        assert!(labels.iter().all(|label| *label == "ok"));
        assert_eq!(site.fetches(), 2, "one for the start, one for all who waited");
    });
}

#[test]
fn ten_thousand_unknown_kids_cause_one_fetch_beside_the_first() {
    run(async {
        let (own, strange) = (Pair::new("own", Algorithm::ES256), Pair::new("strange", Algorithm::ES256));
        let site = Site::new(&[&own]);
        let stage = Stage::new(&site, rules());
        assert_eq!(stage.label(&own.sign(&claims())).await, "ok");
        let token = strange.sign(&claims());
        let (_, rest) = token.split_once('.').unwrap();
        for n in 0..10_000 {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"{n}"}}"#));
            assert_eq!(stage.label(&format!("{header}.{rest}")).await, "signature");
        }
        assert_eq!(stage.label(&own.sign(&claims())).await, "ok");
        assert_eq!(site.fetches(), 2);
        // One that comes later may cause another.
        let pause = i64::try_from(limits::KEYS_UNKNOWN_PAUSE.as_secs()).unwrap();
        stage.clock.set(NOW + pause);
        assert_eq!(stage.label(&token).await, "signature");
        assert_eq!(site.fetches(), 3);
    });
}

#[test]
fn many_who_wait_for_the_first_set_cause_one_fetch() {
    run(async {
        let pair = Pair::new("k", Algorithm::ES256);
        let site = Site::new(&[&pair]);
        let stage = Stage::new(&site, rules());
        let token = pair.sign(&claims());
        let labels = futures_of((0..500).map(|_| stage.label(&token))).await;
        assert!(labels.iter().all(|label| *label == "ok"));
        assert_eq!(site.fetches(), 1);
    });
}

#[test]
fn a_stale_set_serves_while_the_issuer_is_down_and_then_no_longer() {
    run(async {
        let (pair, strange) = (Pair::new("k", Algorithm::ES256), Pair::new("new", Algorithm::ES256));
        let site = Site::new(&[&pair]);
        let stage = Stage::new(&site, rules());
        let token = pair.sign(&changed(|claims| claims["exp"] = json!(NOW + 1_000_000)));
        assert_eq!(stage.label(&token).await, "ok");
        site.goes_down();
        assert_eq!(stage.label(&strange.sign(&claims())).await, "down", "it may be a new key");
        let stale = i64::try_from(limits::KEYS_STALE.as_secs()).unwrap();
        stage.clock.set(NOW + stale - 1);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(site.fetches() > 2, "the keeper tries");
        assert_eq!(stage.label(&token).await, "ok");
        stage.clock.set(NOW + stale);
        assert_eq!(stage.label(&token).await, "down");
        site.comes_up();
        stage.clock.set(NOW + stale + 10);
        assert_eq!(stage.label(&token).await, "ok");
    });
}

#[test]
fn a_set_is_fetched_again_before_it_lapses_though_nobody_asks() {
    run(async {
        let [first, second] = ["first", "second"].map(|kid| Pair::new(kid, Algorithm::ES256));
        let site = Site::new(&[&first]);
        let stage = Stage::new(&site, rules());
        assert_eq!(stage.label(&first.sign(&claims())).await, "ok");
        site.publish(&[&second]);
        stage.clock.set(NOW + i64::try_from(limits::KEYS_FRESH.as_secs()).unwrap());
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(site.fetches(), 2);
        let late = changed(|claims| claims["exp"] = json!(NOW + 100_000));
        assert_eq!(stage.label(&second.sign(&late)).await, "ok");
        assert_eq!(site.fetches(), 2);
        assert_eq!(stage.label(&first.sign(&late)).await, "signature", "a key that was taken back");
    });
}

#[test]
fn a_token_without_kid_is_tried_with_the_keys_of_its_algorithm() {
    run(async {
        let [first, second, other] = [("a", Algorithm::ES256), ("b", Algorithm::ES256), ("c", Algorithm::EdDSA)]
            .map(|(kid, of)| Pair::new(kid, of));
        let stage = Stage::new(&Site::new(&[&first, &second, &other]), rules());
        for pair in [&first, &second, &other] {
            assert_eq!(stage.label(&pair.sign_with(&claims(), |header| header.kid = None)).await, "ok");
        }
        let strange = Pair::new("d", Algorithm::ES256);
        assert_eq!(stage.label(&strange.sign_with(&claims(), |header| header.kid = None)).await, "signature");
    });
}

/// All of them at once, as on one core.
async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |cx| {
        for (one, output) in &mut waiting {
            if output.is_none()
                && let std::task::Poll::Ready(done) = one.as_mut().poll(cx)
            {
                *output = Some(done);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            let outputs = waiting.iter_mut().filter_map(|(_, output)| output.take()).collect();
            return std::task::Poll::Ready(outputs);
        }
        std::task::Poll::Pending
    })
    .await
}
