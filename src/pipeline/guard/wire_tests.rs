//! Tests of `wire`: what hyper would read, for any cut of the client's bytes; and what hyper makes of it.

use std::collections::VecDeque;
use std::task::Waker;

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 16 };

/// A client whose bytes come in these pieces, and who then waits.
#[derive(Debug, Default)]
struct Script(VecDeque<Vec<u8>>);

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.0.pop_front() else { return Poll::Pending };
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        buf.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

fn wire(pieces: &[&[u8]]) -> Wire<Script> {
    let script = Script(pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect());
    Wire::new(script, LIMITS, Rc::default(), HalfClose::Gone)
}

/// Reads until nothing comes, `room` bytes at a time.
fn read(wire: &mut Wire<Script>, room: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut room = vec![0; room];
        let mut buf = ReadBuf::new(&mut room);
        match Pin::new(&mut *wire).poll_read(&mut cx, &mut buf) {
            Poll::Ready(result) => result?,
            Poll::Pending => return Ok(all),
        }
        all.extend_from_slice(buf.filled());
    }
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const CHUNKED: &[u8] =
    b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n";
const LENGTH: &[u8] =
    b"\r\nPUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nX: y\r\n\r\n\0\0\0\0\0\0";
const BAD: &[u8] = b"GET /bad HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n";
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn what_is_clean_passes_byte_for_byte_wherever_it_is_cut() {
    let stream = [GET, CHUNKED, LENGTH, GET].concat();
    for first in 0..stream.len() {
        for room in [7, 64, 8192] {
            let second = first + (stream.len() - first) / 2;
            let mut wire = wire(&[&stream[..first], &stream[first..second], &stream[second..]]);
            assert_eq!(read(&mut wire, room).unwrap(), stream, "cut at {first}");
            assert_eq!((wire.watch().heads_delivered(), wire.watch().phase()), (4, Phase::Idle));
            assert!(!wire.watch().has_withheld_bytes());
        }
    }
}

#[test]
fn one_byte_at_a_time_changes_nothing() {
    let stream = [GET, CHUNKED, LENGTH].concat();
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&mut wire(&pieces), 16).unwrap(), stream);
}

#[test]
fn a_refused_request_is_replaced_and_everything_after_it_thrown_away() {
    let stream = [GET, CHUNKED, BAD, GET].concat();
    let expected = [GET, CHUNKED, SUBSTITUTE].concat();
    for cut in 0..stream.len() {
        let mut wire = wire(&[&stream[..cut], &stream[cut..], GET]);
        assert_eq!(read(&mut wire, 8192).unwrap(), expected, "cut at {cut}");
        let watch = wire.watch();
        assert_eq!((watch.heads_delivered(), watch.phase()), (3, Phase::Over));
        assert_eq!((watch.refusal_for(1), watch.refusal_for(2)), (None, None));
        assert_eq!(watch.refusal_for(3), Some(Refusal::Malformed(Malformed::FieldName)));
    }
}

#[test]
fn a_refused_head_request_is_replaced_by_one_whose_answer_has_no_body() {
    let mut wire = wire(&[b"HEAD / HTTP/1.1\r\n\r\n"]);
    assert_eq!(read(&mut wire, 8192).unwrap(), SUBSTITUTE_HEAD);
}

#[test]
fn part_of_a_head_is_held_back_until_it_is_whole() {
    let mut wire = wire(&[&GET[..10]]);
    assert_eq!(read(&mut wire, 8192).unwrap(), b"");
    assert_eq!((wire.watch().phase(), wire.watch().has_withheld_bytes()), (Phase::Head, true));
    wire.stream_mut().0.push_back(GET[10..].to_vec());
    assert_eq!(read(&mut wire, 8192).unwrap(), GET);
    assert_eq!((wire.watch().phase(), wire.watch().has_withheld_bytes()), (Phase::Idle, false));
}

#[test]
fn a_head_that_takes_too_long_or_too_much_is_refused_when_its_turn_comes() {
    let mut slow = wire(&[GET, &GET[..10]]);
    assert_eq!(read(&mut slow, 8192).unwrap(), GET);
    slow.watch().expire_head();
    assert_eq!(read(&mut slow, 8192).unwrap(), SUBSTITUTE);
    assert_eq!(slow.watch().refusal_for(2), Some(Refusal::HeadTooSlow));

    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(2000));
    for piece in [5, 100, 1500] {
        let pieces: Vec<&[u8]> = long.as_bytes().chunks(piece).collect();
        let mut large = wire(&pieces);
        assert_eq!(read(&mut large, 8192).unwrap(), SUBSTITUTE);
        assert_eq!(large.watch().refusal_for(1), Some(Refusal::HeadTooLarge));
    }
}

#[test]
fn a_body_is_no_head_that_could_expire() {
    let mut wire = wire(&[&LENGTH[..60]]);
    read(&mut wire, 8192).unwrap();
    assert_eq!(wire.watch().phase(), Phase::Body);
    wire.watch().expire_head();
    wire.stream_mut().0.extend([LENGTH[60..].to_vec(), GET.to_vec()]);
    assert_eq!(read(&mut wire, 8192).unwrap(), [&LENGTH[60..], GET].concat());
}

#[test]
fn a_malformed_chunk_ends_the_body_in_an_error_after_what_came_before() {
    let mut wire = wire(&[GET, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab"]);
    assert_eq!(read(&mut wire, 8192).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!((wire.watch().broken(), wire.watch().phase()), (Some(Malformed::Chunk), Phase::Over));
    assert_eq!(wire.watch().heads_delivered(), 2);
}

#[test]
fn bytes_behind_a_handshake_wait_for_its_answer() {
    let smuggled = b"\x81\x05hello";
    let mut accepted = wire(&[&[HANDSHAKE, smuggled].concat(), b"more"]);
    assert_eq!(read(&mut accepted, 8192).unwrap(), HANDSHAKE);
    assert_eq!((accepted.watch().phase(), accepted.watch().has_withheld_bytes()), (Phase::Upgrade, true));
    accepted.watch().resolve_upgrade(UpgradeOutcome::Accepted);
    accepted.stream_mut().0.push_back(BAD.to_vec());
    assert_eq!(read(&mut accepted, 8).unwrap(), [smuggled, &b"more"[..], BAD].concat());
    assert_eq!(accepted.watch().phase(), Phase::Tunnel);

    let mut refused = wire(&[&[HANDSHAKE, GET, BAD].concat()]);
    assert_eq!(read(&mut refused, 8192).unwrap(), HANDSHAKE);
    refused.watch().resolve_upgrade(UpgradeOutcome::Refused);
    assert_eq!(read(&mut refused, 8192).unwrap(), [GET, SUBSTITUTE].concat());
    assert!(refused.watch().refusal_for(3).is_some());
}

#[test]
fn what_waits_behind_a_handshake_is_bounded() {
    let flood = vec![0; 700];
    let mut wire = wire(&[HANDSHAKE, &flood, &flood, &flood, &flood]);
    read(&mut wire, 8192).unwrap();
    assert_eq!(wire.stream().0.len(), 2);
}

fn clean_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(GET.to_vec()),
        Just(CHUNKED.to_vec()),
        Just(LENGTH.to_vec()),
        ("[!-~]{0,20}", prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(value, body)| {
            let mut message =
                format!("POST /x HTTP/1.1\r\nHost: h\r\nX-A: {value}\r\nContent-Length: {}\r\n\r\n", body.len())
                    .into_bytes();
            message.extend_from_slice(&body);
            message
        }),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5).prop_map(|chunks| {
            let mut message = b"POST /y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                message.extend_from_slice(&chunk);
                message.extend_from_slice(b"\r\n");
            }
            message.extend_from_slice(b"0\r\n\r\n");
            message
        }),
    ]
}

/// The stream cut at these places, each a share of 65536.
fn cut<'a>(stream: &'a [u8], places: &[u16]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|&place| stream.len() * usize::from(place) / 65_536).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect()
}

proptest! {
    #[test]
    fn any_clean_messages_pass_whole_for_any_cuts(
        messages in prop::collection::vec(clean_message(), 1..6), places in prop::collection::vec(any::<u16>(), 0..12), room in 1_usize..2000,
    ) {
        let stream = messages.concat();
        let mut wire = wire(&cut(&stream, &places));
        prop_assert_eq!(read(&mut wire, room).unwrap(), stream);
        prop_assert_eq!(wire.watch().heads_delivered(), messages.len() as u64);
    }

    #[test]
    fn the_judgement_of_any_bytes_does_not_depend_on_the_cuts(
        mut stream in prop::collection::vec(clean_message(), 1..4).prop_map(|messages| messages.concat()),
        harm in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        places in prop::collection::vec(any::<u16>(), 0..12),
    ) {
        for (index, byte) in harm {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        let (mut whole, mut pieces) = (wire(&[&stream]), wire(&cut(&stream, &places)));
        let (whole_read, pieces_read) = (read(&mut whole, 8192), read(&mut pieces, 8192));
        prop_assert_eq!(whole_read.ok(), pieces_read.ok());
        let facts = |wire: &Wire<Script>| {
            let watch = wire.watch();
            (watch.heads_delivered(), watch.phase(), watch.refusal_for(watch.heads_delivered()), watch.broken())
        };
        prop_assert_eq!(facts(&whole), facts(&pieces));
    }

    #[test]
    fn what_passes_is_a_beginning_of_what_came(stream in prop::collection::vec(any::<u8>(), 0..400)) {
        let stream = [GET, &stream].concat();
        let mut wire = wire(&[&stream]);
        if let Ok(read) = read(&mut wire, 8192) {
            let passed = read.strip_suffix(SUBSTITUTE).or_else(|| read.strip_suffix(SUBSTITUTE_HEAD)).unwrap_or(&read);
            prop_assert!(stream.starts_with(passed));
        }
    }
}

/// What hyper hands to a service behind a wire, with the refusal that belongs to each request; and what the client reads.
async fn through_hyper(bytes: &[u8]) -> (Vec<(String, Option<Refusal>)>, String) {
    use http_body_util::{BodyExt, Empty};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let watch = Rc::new(Watch::default());
    let wire = Wire::new(server, LIMITS, Rc::clone(&watch), HalfClose::Gone);
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (watch, seen) = (Rc::clone(&watch), Rc::clone(&seen));
        async move {
            let ordinal = seen.borrow().len() as u64 + 1;
            seen.borrow_mut().push((request.uri().to_string(), watch.refusal_for(ordinal)));
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            Ok::<_, std::convert::Infallible>(http::Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(wire), service);
    client.write_all(bytes).await.unwrap();
    let mut answers = String::new();
    let talk = async {
        let mut buffer = vec![0; 8192];
        let patience = std::time::Duration::from_millis(200);
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(patience, client.read(&mut buffer)).await {
            answers.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    };
    let serve = async {
        let ended = connection.await;
        drop(ended); // what the service saw and the client read is what counts
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = talk => {}
        () = serve => {}
    }
    let seen = seen.borrow().clone();
    (seen, answers)
}

#[tokio::test]
async fn hyper_answers_earlier_requests_then_the_refusal_then_closes() {
    let (seen, answers) = through_hyper(&[GET, CHUNKED, BAD, GET].concat()).await;
    let expected = Some(Refusal::Malformed(Malformed::FieldName));
    assert_eq!(seen, [("/a".to_owned(), None), ("/b".to_owned(), None), ("/".to_owned(), expected)]);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answers.matches("connection: close").count(), 1);
}

#[tokio::test]
async fn hyper_sees_no_request_inside_a_broken_body() {
    let bad = b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let (seen, _) = through_hyper(&[GET, bad].concat()).await;
    assert_eq!(seen.iter().map(|(uri, _)| uri.as_str()).collect::<Vec<_>>(), ["/a", "/b"]);
}
