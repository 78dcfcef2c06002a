//! The tests' own equipment: that the real backends say what they received, and that the mints agree.

use crate::support::mint::{self, SIGNING, kind};
use crate::support::peers::{self, Peer};
use crate::support::raw::{self, Raw};
use crate::support::sha256;

#[tokio::test]
async fn each_backend_reports_what_it_received() {
    for (name, peer) in [
        ("express", Peer::express()),
        ("fastapi", Peer::fastapi()),
        ("fastapi h11", Peer::fastapi_h11()),
        ("node", Peer::node_http()),
        ("gunicorn", Peer::gunicorn()),
        ("hyper", Peer::hyper()),
    ] {
        let mut connection = Raw::plain(peer.address).await;
        connection.send(&raw::request("POST", "/a%20b?c=d", "X-Own: 1\r\n", "body")).await;
        let answer = connection.answer().await;
        assert_eq!(answer.json()["target"], "/a%20b?c=d", "{name}");
        assert_eq!(answer.json()["sha256"], sha256(b"body"), "{name}");
        assert_eq!(answer.echoed_values("x-own"), ["1"], "{name}");
        let seen = peer.seen().await;
        assert_eq!((seen.len(), &seen[0]["bodyLength"]), (1, &4.into()), "{name}");
    }
}

#[tokio::test]
async fn nginx_reports_what_it_received() {
    let peer = Peer::nginx();
    let mut connection = Raw::plain(peer.address).await;
    connection.send(&raw::request("GET", "/a%20b?c=d", "X-Monday-App: x\r\n", "")).await;
    assert_eq!(connection.answer().await.json()["app"], "x");
    assert_eq!(peer.seen_when(1).await[0]["target"], "/a%20b?c=d");
}

#[test]
fn the_mints_agree_on_the_claims_and_the_signature() {
    let claims = kind("view").claims();
    let wanted = [(claims.clone(), SIGNING)];
    for minter in [peers::npm_minter(), peers::python_minter()] {
        let token = peers::mint(minter, &wanted).remove(0);
        assert_eq!(mint::payload(&token), claims);
        let (input, tag) = token.rsplit_once('.').unwrap();
        assert_eq!(tag, mint::encode(&mint::mac(aws_lc_rs::hmac::HMAC_SHA256, SIGNING.as_bytes(), input.as_bytes())));
    }
}
