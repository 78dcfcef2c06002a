//! Tokens as no mint makes them: `security.md` J1 to J14, R17, R23. Each is refused with 401, and never with 5xx.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, CLIENT, SIGNING, STRANGER, kind, verified_kinds};
use crate::support::raw::{self, Raw};
use crate::support::setup::Setup;

const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// A gateway, and one connection on which requests follow each other.
struct Bench {
    backend: Backend,
    gateway: Gateway,
    connection: Raw,
    cases: usize,
}

impl Bench {
    async fn new() -> Self {
        let backend = Backend::echo();
        let gateway = Gateway::start(&Setup::standard(&backend.address));
        let connection = gateway.connect().await;
        Self { backend, gateway, connection, cases: 0 }
    }

    /// The status for an action with this token in Authorization.
    async fn status(&mut self, token: &str) -> u16 {
        self.cases += 1;
        let lines = format!("Authorization: {token}\r\n");
        let request = raw::request("POST", "/planner/action/run", &lines, "{}");
        self.connection.send(&request).await;
        let Some(answer) = self.connection.maybe_answer().await else {
            self.connection = self.gateway.connect().await;
            return 0;
        };
        if answer.field("connection") == Some("close") {
            self.connection = self.gateway.connect().await;
        }
        answer.status
    }

    async fn refused(&mut self, token: &str, what: &str) {
        let status = self.status(token).await;
        assert_eq!(status, 401, "{what}: {token:.200}");
    }

    async fn accepted(&mut self, token: &str, what: &str) {
        let status = self.status(token).await;
        assert_eq!(status, 200, "{what}: {token:.200}");
    }

    /// Nothing but the accepted ones came through.
    fn finish(self, id: &str, accepted: usize) {
        assert_eq!(self.backend.count(), accepted, "{id}");
        println!("cases: {} ({id})", self.cases);
    }
}

/// The claims of an action with one claim written as this text.
fn with_claim(name: &str, text: &str) -> String {
    let mut claims = kind("action").claims();
    claims.as_object_mut().unwrap().remove(name);
    let rest = claims.to_string();
    format!("{{\"{name}\":{text},{}", rest.strip_prefix('{').unwrap())
}

fn signed(payload: &str) -> String {
    mint::sign_parts(HEADER, payload.as_bytes(), SIGNING.as_bytes())
}

fn with_header(header: &str) -> String {
    mint::sign_parts(header.as_bytes(), kind("action").claims().to_string().as_bytes(), SIGNING.as_bytes())
}

#[tokio::test]
async fn j1_times_that_are_no_integers_are_refused() {
    let mut bench = Bench::new().await;
    let soon = mint::now() + 300;
    let texts = [
        format!("\"{soon}\""),
        format!("{soon}.0"),
        format!("{soon}.5"),
        format!("{soon}e0"),
        "1e400".into(),
        "1e10".into(),
        "-1".into(),
        "null".into(),
        "[]".into(),
        format!("[{soon}]"),
        "true".into(),
        "false".into(),
        "{}".into(),
        "\"x\"".into(),
        "\"\"".into(),
        "9223372036854775808".into(),
        "18446744073709551616".into(),
        "99999999999999999999999".into(),
        "1e999999999".into(),
        "-9223372036854775809".into(),
        "0x7fffffff".into(),
        "Infinity".into(),
        "NaN".into(),
        format!("+{soon}"),
        format!("0{soon}"),
        format!("{soon}L"),
        "-0.0".into(),
    ];
    for name in ["exp", "nbf", "iat"] {
        for text in &texts {
            bench.refused(&signed(&with_claim(name, text)), &format!("{name} {text}")).await;
        }
    }
    let mut claims = kind("action").claims();
    claims.as_object_mut().unwrap().remove("exp");
    bench.refused(&mint::sign(&claims, SIGNING), "no exp").await;
    bench.refused(&signed(&with_claim("exp", "0")), "exp 0").await;
    bench.refused(&signed(&with_claim("nbf", &(mint::now() + 600).to_string())), "nbf in the future").await;
    bench.refused(&signed(&with_claim("iat", &(mint::now() + 600).to_string())), "iat in the future").await;
    bench.accepted(&signed(&with_claim("nbf", &(mint::now() - 5).to_string())), "nbf in the past").await;
    bench.accepted(&signed(&with_claim("exp", &(mint::now() - 5).to_string())), "exp within the leeway").await;
    bench.refused(&signed(&with_claim("exp", &(mint::now() - 45).to_string())), "exp beyond the leeway").await;
    bench.finish("J1", 2);
}

#[tokio::test]
async fn ids_that_are_no_integers_are_refused() {
    let mut bench = Bench::new().await;
    for name in ["accountId", "userId"] {
        for text in ["\"1\"", "1.0", "1e3", "null", "true", "[]", "{}", "99999999999999999999", "\"\"", "1.5"] {
            bench.refused(&signed(&with_claim(name, text)), &format!("{name} {text}")).await;
        }
    }
    bench.finish("ids", 0);
}

#[tokio::test]
async fn j2_numbers_that_burn_time_are_refused_quickly() {
    let mut bench = Bench::new().await;
    let digits = "9".repeat(5000);
    for text in [
        "1e999999999",
        "1E+999999999",
        "-1e999999999",
        "1e-999999999",
        &digits,
        &format!("0.{digits}"),
        &format!("1e{digits}"),
    ] {
        for name in ["exp", "iat", "nbf", "accountId", "x"] {
            let token = signed(&with_claim(name, text));
            let began = Instant::now();
            let status = bench.status(&token).await;
            assert!(began.elapsed() < Duration::from_millis(500), "{name} {text:.20} took {:?}", began.elapsed());
            let unread = name == "x" && status == 200;
            assert!(status == 401 || unread, "{name} {text:.20}: {status}");
        }
    }
    println!("cases: {} (J2)", bench.cases);
}

#[tokio::test]
async fn j3_an_empty_or_short_key_signs_nothing() {
    let mut bench = Bench::new().await;
    for secret in ["", "\0", "secret", " ", &"\0".repeat(32), &"\0".repeat(64)] {
        bench.refused(&mint::sign(&kind("action").claims(), secret), "an empty key").await;
    }
    bench.finish("J3, tokens", 0);
}

#[tokio::test]
async fn j4_the_algorithm_is_never_the_tokens() {
    let mut bench = Bench::new().await;
    let payload = kind("action").claims().to_string();
    let mut headers: Vec<String> = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        " ",
        "hs256",
        "Hs256",
        "HS256 ",
        " HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "ES256",
        "ES384",
        "ES512",
        "PS256",
        "PS512",
        "EdDSA",
        "HS1",
        "HS256\\u0000",
        "A128KW",
        "dir",
        "PBES2-HS256+A128KW",
    ]
    .iter()
    .map(|alg| format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#))
    .collect();
    headers.extend(
        [
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":1}"#,
            r#"{"alg":null}"#,
            r#"{"alg":true}"#,
            r#"{"alg":{"a":"HS256"}}"#,
            r#"{"typ":"JWT"}"#,
            "{}",
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            r#"{"Alg":"HS256"}"#,
            r#"{"ALG":"HS256"}"#,
            "null",
            "[]",
            "\"HS256\"",
            "",
            "{",
            r#"{"alg":"HS256"}x"#,
            r#"{"alg":"HS256",}"#,
            r"{'alg':'HS256'}",
            "\u{feff}{\"alg\":\"HS256\"}",
        ]
        .map(str::to_owned),
    );
    for header in &headers {
        bench.refused(&mint::sign_parts(header.as_bytes(), payload.as_bytes(), SIGNING.as_bytes()), header).await;
        let unsigned = format!("{}.{}.", mint::encode(header.as_bytes()), mint::encode(payload.as_bytes()));
        bench.refused(&unsigned, header).await;
    }
    for (alg, algorithm) in [
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
        ("HS256", hmac::HMAC_SHA512),
        ("HS256", hmac::HMAC_SHA384),
    ] {
        let input = format!(
            "{}.{}",
            mint::encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()),
            mint::encode(payload.as_bytes())
        );
        let tag = mint::mac(algorithm, SIGNING.as_bytes(), input.as_bytes());
        bench.refused(&format!("{input}.{}", mint::encode(&tag)), alg).await;
    }
    bench.finish("J4", 0);
}

#[tokio::test]
async fn j5_headers_that_ask_for_more_are_refused_or_ignored() {
    let mut bench = Bench::new().await;
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "\"exp\"", r#"["x"],"x":1"#, "true", "{}", "0"] {
        bench.refused(&with_header(&format!(r#"{{"alg":"HS256","crit":{crit}}}"#)), crit).await;
    }
    let mut let_through = 0;
    for member in [
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""jwk":{"kty":"oct","k":"AAAA"}"#,
        r#""jku":"https://127.0.0.1:1/k""#,
        r#""x5u":"https://127.0.0.1:1/c""#,
        r#""x5c":["MII"]"#,
        r#""kid":"../../../../dev/null""#,
        r#""kid":"' OR 1=1 --""#,
        r#""kid":1"#,
        r#""typ":1"#,
        r#""typ":"at+jwt""#,
        r#""cty":"JWT""#,
        r#""enc":"A128GCM""#,
        r#""p2c":2147483647"#,
    ] {
        let status = bench.status(&with_header(&format!(r#"{{"alg":"HS256",{member}}}"#))).await;
        assert!(status == 401 || status == 200, "{member}: {status}");
        let_through += usize::from(status == 200);
        let bad = mint::sign_parts(
            format!(r#"{{"alg":"HS256",{member}}}"#).as_bytes(),
            kind("action").claims().to_string().as_bytes(),
            STRANGER.as_bytes(),
        );
        bench.refused(&bad, member).await;
    }
    bench.finish("J5", let_through);
}

#[tokio::test]
async fn j6_r17_enormous_tokens_are_refused_before_they_are_decoded() {
    let backend = Backend::echo();
    let setup = Setup::standard(&backend.address).limits("head = \"64KiB\"");
    let gateway = Gateway::start(&setup);
    let before = gateway.memory();
    let good = kind("action").token();
    let mut cases = 0;
    for token in [
        ".".repeat(1_000_000),
        ".".repeat(60_000),
        "a".repeat(60_000),
        "a".repeat(1_000_000),
        format!("{good}{}", ".".repeat(50_000)),
        format!("{}{good}", "A".repeat(50_000)),
        good.replace('.', &".".repeat(20_000)),
        signed(&format!("{{\"x\":{}1{}}}", "[".repeat(3000), "]".repeat(3000))),
        signed(&with_claim("x", &format!("{}{}", "[".repeat(2500), "]".repeat(2500)))),
        signed(&with_claim("x", &format!("\"{}\"", "x".repeat(9000)))),
        signed(&format!("{{{}}}", (0..900).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(","))),
    ] {
        let answer = gateway.request("POST", "/planner/action/run", &format!("Authorization: {token}\r\n"), "{}").await;
        assert!(matches!(answer.status, 401 | 431), "{} bytes: {} {}", token.len(), answer.status, answer.text());
        cases += 1;
    }
    assert_eq!(backend.count(), 0);
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    println!("cases: {cases} (J6, R17), {grown} KiB more memory");
}

#[tokio::test]
async fn j7_what_is_no_compact_jws_is_refused() {
    let mut bench = Bench::new().await;
    let good = kind("action").token();
    let parts: Vec<&str> = good.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let json = json!({ "payload": p, "protected": h, "signature": s }).to_string();
    let general = json!({ "payload": p, "signatures": [{ "protected": h, "signature": s }] }).to_string();
    let jwe = mint::encode(br#"{"alg":"PBES2-HS256+A128KW","enc":"A128CBC-HS256","p2c":2147483647,"p2s":"AA"}"#);
    for token in [
        format!("{h}.{p}.{s}.{s}.{s}"),
        format!("{jwe}.AA.AA.AA.AA"),
        format!("{jwe}.{p}.{s}"),
        json,
        general,
        format!("{h}.{p}"),
        h.to_owned(),
        format!("{h}.{p}.{s}."),
        format!(".{h}.{p}.{s}"),
        format!("{h}..{p}.{s}"),
        format!("{h}.{p}.{s}="),
        format!("{h}=.{p}.{s}"),
        format!("{h}.{p}=.{s}"),
        format!("{h}.{p}.{s} x"),
        format!("{h}.{p} .{s}"),
        format!("{h}.{p}.{s}%"),
        "..".into(),
        "...".into(),
        ".".into(),
        format!("..{s}"),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("\"{good}\""),
        format!("<{good}>"),
        format!("{h}.{p}.+{s}"),
        format!("{h}.{p}.{s}/"),
        good.replace('.', ","),
        good.replace('.', "%2e"),
        format!("Bearer Bearer {good}"),
    ] {
        bench.refused(&token, "no compact JWS").await;
    }
    bench.finish("J7", 0);
}

/// Base64url whose last character carries bits that no byte has (RFC 4648, section 3.5).
#[tokio::test]
async fn base64_that_is_not_canonical_is_refused() {
    let mut bench = Bench::new().await;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let good = kind("action").token();
    let last = good.chars().last().unwrap();
    let at = alphabet.find(last).unwrap();
    for other in 1..4 {
        let sibling = alphabet.chars().nth((at & !3) | ((at + other) & 3)).unwrap();
        let mut token = good.clone();
        token.pop();
        token.push(sibling);
        bench.refused(&token, "another spelling of the same signature").await;
    }
    bench.accepted(&good, "the same, canonical").await;
    bench.finish("base64", 1);
}

#[tokio::test]
async fn j8_j9_a_second_use_is_verified_again() {
    let backend = Backend::echo();
    let setup = Setup::standard(&backend.address).app("leeway = \"0s\"");
    let gateway = Gateway::start(&setup);
    let mut claims = kind("action").claims();
    claims["exp"] = json!(mint::now() + 3);
    let line = format!("Authorization: {}\r\n", mint::sign(&claims, SIGNING));
    let request = raw::request("POST", "/planner/action/run", &line, "{}");
    let mut connection = gateway.connect().await;
    let deadline = Instant::now() + Duration::from_secs(8);
    let mut accepted = 0;
    loop {
        connection.send(&request).await;
        let answer = connection.answer().await;
        if answer.status == 401 {
            break;
        }
        assert_eq!(answer.status, 200);
        assert!(Instant::now() < deadline, "still accepted after exp");
        accepted += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let late = mint::now() - claims["exp"].as_i64().unwrap();
    assert!(accepted > 1 && (-1..=1).contains(&late), "refused {late} s after exp, {accepted} accepted");
    println!("cases: {accepted} uses accepted, refused {late} s after exp (J9)");
}

#[tokio::test]
async fn j8_many_tokens_mix_up_no_claims() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let many = 2000;
    let mut connection = gateway.connect().await;
    for number in 1..=many {
        let mut claims = kind("action").claims();
        claims["userId"] = json!(number);
        claims["accountId"] = json!(number * 7);
        let line = format!("Authorization: {}\r\n", mint::sign(&claims, SIGNING));
        connection.send(&raw::request("POST", "/planner/action/run", &line, "{}")).await;
        let answer = connection.answer().await;
        assert_eq!(answer.echoed_values("x-monday-user-id"), [number.to_string()]);
        assert_eq!(answer.echoed_values("x-monday-account-id"), [(number * 7).to_string()]);
    }
    println!("cases: {many} (J8)");
}

#[tokio::test]
async fn j10_more_than_one_token_is_refused() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let (action, view, link) = (kind("action").token(), kind("view").token(), kind("authorization").token());
    let forged = mint::sign(&kind("view").claims(), STRANGER);
    let cases = [
        ("/planner/action/run".to_owned(), format!("Authorization: {action}\r\nAuthorization: {action}\r\n")),
        ("/planner/action/run".into(), format!("Authorization: {action}\r\nauthorization: Bearer {forged}\r\n")),
        ("/planner/action/run".into(), format!("Authorization: Bearer {action}, Bearer {action}\r\n")),
        ("/planner/action/run".into(), format!("Authorization: {action}, {action}\r\n")),
        ("/planner/action/run".into(), format!("Authorization: {action} {action}\r\n")),
        ("/planner/action/run".into(), format!("Authorization: \r\nAuthorization: {action}\r\n")),
        (format!("/planner/view/run?sessionToken={view}"), format!("Authorization: {view}\r\n")),
        (format!("/planner/view/run?sessionToken={forged}"), format!("Authorization: {view}\r\n")),
        (format!("/planner/view/run?sessionToken={view}"), format!("Authorization: {forged}\r\n")),
        (format!("/planner/view/run?sessionToken={view}&sessionToken={view}"), String::new()),
        (format!("/planner/view/run?sessionToken={forged}&sessionToken={view}"), String::new()),
        (format!("/planner/view/run?sessionToken={view}&session%54oken={view}"), String::new()),
        (format!("/planner/authorization/run?token={link}&token={link}"), String::new()),
        (format!("/planner/authorization/run?token={link}&%74oken={link}"), String::new()),
    ];
    for (target, lines) in &cases {
        let answer = gateway.request("GET", target, lines, "").await;
        assert_eq!(answer.status, 401, "{target} {lines}: {}", answer.text());
    }
    assert_eq!(backend.count(), 0);
    println!("cases: {} (J10)", cases.len());
}

#[tokio::test]
async fn j12_no_answer_and_no_log_says_what_was_in_the_token() {
    let backend = Backend::echo();
    let gateway = Gateway::start(
        &Setup::standard(&backend.address).log("format = \"json\"\naccess = \"stdout\"\nlevel = \"debug\""),
    );
    let mut cases = 0;
    for kind in verified_kinds() {
        let mut claims = kind.claims();
        claims["canary"] = json!("canary-claim-value");
        let (right, forged) = (mint::sign(&claims, kind.secrets[0]), mint::sign(&claims, STRANGER));
        claims["exp"] = json!(1);
        let expired = mint::sign(&claims, kind.secrets[0]);
        for token in [right.clone(), forged, expired, format!("{right}x"), format!("canary-token-{right}")] {
            let (target, lines) = kind.request_with(&token);
            let mark = if target.contains('?') { '&' } else { '?' };
            let target = format!("{target}{mark}q=canary-query");
            let lines = format!("{lines}Cookie: canary-cookie\r\n");
            let answer = gateway.request("POST", &target, &lines, "{\"b\":\"canary-body\"}").await;
            if answer.status != 200 {
                let (text, fields) = (answer.text(), format!("{:?}", answer.fields));
                for secret in ["canary", "hmac", "aws", "rustls", "jsonwebtoken", "signing", "panick", &token] {
                    assert!(
                        !text.to_lowercase().contains(secret) && !fields.contains(secret),
                        "{secret} in {fields} {text}"
                    );
                }
            }
            cases += 1;
            let signature = token.rsplit('.').next().unwrap();
            gateway.assert_printed_none(&[signature]);
        }
    }
    gateway.access_lines_when(cases).await;
    gateway.assert_printed_none(&["canary", "stranger-secret"]);
    assert!(!gateway.metrics().await.contains("canary"));
    println!("cases: {cases} (J12, canary)");
}

#[tokio::test]
async fn j14_a_token_is_never_sought_in_the_body() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut cases = 0;
    for kind in verified_kinds() {
        let token = kind.token();
        for body in [
            json!({ "token": token, "sessionToken": token, "authorization": token }).to_string(),
            format!("token={token}&sessionToken={token}&Authorization={token}"),
            token.clone(),
        ] {
            for form in ["application/json", "application/x-www-form-urlencoded"] {
                let lines = format!(
                    "Content-Type: {form}\r\nCookie: token={token}; sessionToken={token}\r\nX-Authorization: {token}\r\n"
                );
                assert_eq!(gateway.request("POST", &kind.path(), &lines, &body).await.status, 401, "{}", kind.name);
                cases += 1;
            }
        }
        // The answer comes before the body: nothing waits for it.
        let mut connection = gateway.connect().await;
        connection
            .send(
                format!("POST {} HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000000\r\n\r\n", kind.path()).as_bytes(),
            )
            .await;
        if kind.name != "board-webhook" {
            assert_eq!(connection.answer().await.status, 401);
        }
    }
    assert_eq!(backend.count(), 0);
    println!("cases: {cases} (J14)");
}

#[tokio::test]
async fn a_token_in_the_wrong_place_is_none() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for kind in verified_kinds() {
        let token = kind.token();
        let places = [
            ("token", "Query"),
            ("sessionToken", "HeaderOrQuery"),
            ("access_token", "-"),
            ("Authorization", "-"),
            ("TOKEN", "-"),
        ];
        for (name, only) in places {
            if format!("{:?}", kind.place).starts_with(&format!("{only}(")) {
                continue;
            }
            let status = gateway.request("GET", &format!("{}?{name}={token}", kind.path()), "", "").await.status;
            assert_eq!(status, 401, "{name} at {}", kind.name);
        }
        if kind.back_to_url {
            let line = format!("Authorization: {token}\r\n");
            assert_eq!(gateway.request("GET", &kind.path(), &line, "").await.status, 401);
        }
    }
    assert_eq!(backend.count(), 0);
}

/// R23: one change anywhere in a valid token, and it is none.
#[tokio::test]
async fn r23_no_mutant_of_a_valid_token_passes() {
    let mut bench = Bench::new().await;
    let good = kind("action").token();
    let bytes = good.as_bytes();
    for at in 0..bytes.len() {
        let mut token = bytes.to_vec();
        token[at] = match token[at] {
            b'.' => b'-',
            b'A' => b'B',
            _ => b'A',
        };
        if token != bytes {
            bench.refused(&String::from_utf8(token).unwrap(), "a changed byte").await;
        }
    }
    for at in (0..bytes.len()).step_by(4) {
        let mut token = good.clone();
        token.remove(at);
        bench.refused(&token, "a byte less").await;
        let mut token = good.clone();
        token.insert(at, 'A');
        bench.refused(&token, "a byte more").await;
    }
    for secret in [
        CLIENT,
        STRANGER,
        "canary",
        &SIGNING.to_uppercase(),
        SIGNING.get(1..).unwrap(),
        &format!("{SIGNING}\n"),
        &format!("{SIGNING}\0x"),
    ] {
        bench.refused(&mint::sign(&kind("action").claims(), secret), "another secret").await;
    }
    for text in [
        r#"{"accountId":1,"userId":2,"exp":9999999999,"exp":9999999999}"#,
        r#"{"accountId":1,"accountId":2,"userId":2,"exp":9999999999}"#,
        r#"{"accountId":1,"userId":2,"userId":3,"exp":9999999999}"#,
        r#"{"accountId":1,"userId":2,"exp":9999999999,"\u0065xp":1}"#,
        r#"{"accountId":1,"userId":2,"exp":9999999999,"a":{"b":1,"b":2}}"#,
        r#"[{"accountId":1,"userId":2,"exp":9999999999}]"#,
        "null",
        "1",
        "\"x\"",
        "",
        r#"{"accountId":1,"userId":2,"exp":9999999999}}"#,
        r#"{"accountId":1,"userId":2,"exp":9999999999,}"#,
        r#"{"accountId":1 "userId":2,"exp":9999999999}"#,
        r#"{"accountId":1,"userId":2,"exp":9999999999,"dat":{"account_id":5,"user_id":6}"#,
        "{\"accountId\":1,\"userId\":2,\"exp\":9999999999,\"x\":\"\u{1}\"}",
    ] {
        bench.refused(&signed(text), text).await;
    }
    let not_utf8 = [br#"{"accountId":1,"userId":2,"exp":9999999999,"x":""#.as_slice(), b"\xff\xfe", b"\"}"].concat();
    bench.refused(&mint::sign_parts(HEADER, &not_utf8, SIGNING.as_bytes()), "no UTF-8").await;
    bench.accepted(&good, "unchanged").await;
    assert!(bench.cases > 300);
    bench.finish("R23", 1);
}

#[tokio::test]
async fn claims_of_two_shapes_in_one_token_are_not_mixed() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut both = kind("view").claims();
    both["accountId"] = json!(1);
    both["userId"] = json!(2);
    let line = format!("Authorization: {}\r\n", mint::sign(&both, CLIENT));
    let answer = gateway.request("GET", "/planner/view/run", &line, "").await;
    if answer.status == 200 {
        let ids = [answer.echoed_values("x-monday-account-id"), answer.echoed_values("x-monday-user-id")];
        assert_eq!(ids, [[mint::ACCOUNT.to_string()], [mint::USER.to_string()]]);
    } else {
        assert_eq!(answer.status, 401);
    }
    let seen: Vec<Value> = backend.seen().iter().map(|seen| json!(seen.target)).collect();
    assert!(seen.len() <= 1);
}
