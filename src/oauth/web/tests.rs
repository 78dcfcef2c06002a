use std::sync::atomic::AtomicUsize;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::oauth::fakes::{self, Fake};
use crate::oauth::reach::tests::Told;

fn quick() -> Web {
    let bounds = Bounds { connect: Duration::from_secs(2), whole: Duration::from_millis(400), answer: 1000 };
    Web { bounds, ..Web::new(None).unwrap() }
}

async fn asked(web: &Web, url: Url) -> Result<Answer, WebFlaw> {
    web.ask(Question::get(url), Reach::Configured).await.map_err(|fault| fault.flaw)
}

#[tokio::test]
async fn a_question_is_asked_once_with_its_fields_and_its_answer_comes_whole() {
    let mut fake = Fake::saying(404, "{\"a\":1}").await;
    let question = Question::post(fake.url("/p?q=1"), "application/json", "{}")
        .with(http::header::AUTHORIZATION, HeaderValue::from_static("raw"));
    let answer = quick().ask(question, Reach::Configured).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (404, &b"{\"a\":1}"[..]));
    let got = fake.got();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].line, "POST /p?q=1 HTTP/1.1");
    assert_eq!((got[0].field("authorization"), got[0].field("accept")), (Some("raw"), Some("application/json")));
    assert_eq!(got[0].field("host"), fake.origin.strip_prefix("http://"));
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let mut other = Fake::saying(200, "{}").await;
    let to = other.url("/stolen");
    for status in [301, 302, 303, 307, 308] {
        let text = format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let fake = Fake::start(move |_| text.clone()).await;
        assert_eq!(asked(&quick(), fake.url("/")).await.unwrap_err(), WebFlaw::Redirect(status));
    }
    assert_eq!(other.got().len(), 0);
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_with_and_without_a_length() {
    let long = "x".repeat(1001);
    let fake = Fake::saying(200, &long).await;
    assert_eq!(asked(&quick(), fake.url("/")).await.unwrap_err(), WebFlaw::TooLarge(1000));
    let text = format!("HTTP/1.1 200 X\r\n\r\n{long}");
    let fake = Fake::start(move |_| text.clone()).await;
    assert_eq!(asked(&quick(), fake.url("/")).await.unwrap_err(), WebFlaw::TooLarge(1000));
    let fake = Fake::saying(200, &"x".repeat(1000)).await;
    assert_eq!(asked(&quick(), fake.url("/")).await.unwrap().body.len(), 1000);
}

#[tokio::test]
async fn an_answer_that_stalls_or_breaks_off_is_a_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/secret?token=canary", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let fault = quick().ask(Question::get(url), Reach::Configured).await.unwrap_err();
    assert_eq!(fault.flaw, WebFlaw::LateAnswer(Duration::from_millis(400)));
    assert!(!fault.to_string().contains("canary") && !fault.to_string().contains("secret"), "{fault}");
    for text in ["HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nab", "SSH-2.0-x\r\n", ""] {
        let fake = Fake::start(move |_| text.to_owned()).await;
        assert_eq!(asked(&quick(), fake.url("/")).await.unwrap_err(), WebFlaw::Broken, "{text}");
    }
}

#[tokio::test]
async fn nobody_listening_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let fault = quick().ask(Question::get(url), Reach::Configured).await.unwrap_err();
    assert!(matches!(fault.flaw, WebFlaw::Connect(_)), "{fault}");
}

#[tokio::test]
async fn a_name_that_resolves_inside_is_not_connected_to_and_is_resolved_once() {
    let mut fake = Fake::saying(200, "{}").await;
    let port = fake.url("/").port().unwrap();
    let url = Url::parse(&format!("https://shop.example:{port}/")).unwrap();
    let loopback = "127.0.0.1".parse().unwrap();
    let inside = Arc::new(Told { answers: vec![vec![loopback]], asked: AtomicUsize::new(0) });
    let web = Web { names: Names::Told(inside), ..quick() };
    let fault = web.ask(Question::get(url.clone()), Reach::PublicOnly).await.unwrap_err();
    assert_eq!(fault.flaw, WebFlaw::Reach(ReachFlaw::NotPublic(loopback)));
    // Rebinding: public for who judges, loopback for who would ask again.
    let rebound = Arc::new(Told {
        answers: vec![vec!["2606:4700:4700::1111".parse().unwrap()], vec![loopback]],
        asked: AtomicUsize::new(0),
    });
    let bounds = Bounds { connect: Duration::from_millis(100), ..quick().bounds };
    let web = Web { names: Names::Told(Arc::clone(&rebound)), bounds, ..quick() };
    web.ask(Question::get(url), Reach::PublicOnly).await.unwrap_err();
    assert_eq!(rebound.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(fake.got().len(), 0);
}

/// An https server on loopback whose certificate is for `name`, and the file of its authority.
async fn secure(name: &str) -> (u16, tempfile::NamedTempFile) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(crate::tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut room = [0; 4096];
            drop(stream.read(&mut room).await);
            drop(stream.write_all(fakes::answer(200, "{}").as_bytes()).await);
        }
    });
    (port, file)
}

#[tokio::test]
async fn a_certificate_is_verified_for_its_name_and_authority() {
    let (port, ca) = secure("good.example").await;
    let loopback = vec!["127.0.0.1".parse().unwrap()];
    let names = Names::Told(Arc::new(Told { answers: vec![loopback], asked: AtomicUsize::new(0) }));
    let bounds = Bounds { whole: Duration::from_secs(5), ..quick().bounds };
    let web = Web { names: names.clone(), bounds, ..Web::new(Some(ca.path())).unwrap() };
    let url = |host: &str| Url::parse(&format!("https://{host}:{port}/")).unwrap();
    assert_eq!(asked(&web, url("good.example")).await.unwrap().status.as_u16(), 200);
    assert!(matches!(asked(&web, url("other.example")).await, Err(WebFlaw::Tls(_))));
    let strict = Web { names, bounds, ..Web::new(None).unwrap() };
    let refused = asked(&strict, url("good.example")).await.unwrap_err();
    assert!(matches!(refused, WebFlaw::Tls(_) | WebFlaw::NoAuthorities), "{refused}");
}
