//! HTTP/2 frames written by hand, for what the `h2` crate refuses to send. HPACK without indexing and without Huffman.
//! RFC 9113, section 4; RFC 7541, section 6.2.2.

use std::time::Duration;

use super::gateway::Gateway;
use super::raw::Raw;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection past the preface.
pub(crate) struct Frames {
    pub(crate) raw: Raw,
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A HEADERS frame with these fields as literals.
pub(crate) fn headers(stream: u32, fields: &[(&[u8], &[u8])], flags: u8) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10); // a literal that is never indexed
        literal(&mut block, name);
        literal(&mut block, value);
    }
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

fn literal(block: &mut Vec<u8>, text: &[u8]) {
    if let Ok(short @ 0..127) = u8::try_from(text.len()) {
        block.push(short);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text);
}

impl Frames {
    /// Connects and sends the preface and empty settings.
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let mut raw = gateway.connect_tls("gw.test", &["h2"]).await;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        raw.send(&hello).await;
        Self { raw }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.raw.send(bytes).await;
    }

    /// The next frame; settings and pings are acknowledged on the way. None at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            while self.raw.buffer.len() < 9 {
                if !self.raw.read_more().await {
                    return None;
                }
            }
            let head = self.raw.exactly(9).await;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let payload = self.raw.exactly(length).await;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.raw.send(&self::frame(SETTINGS, ACK, 0, &[])).await,
                PING if frame.flags & ACK == 0 => {
                    let pong = self::frame(PING, ACK, 0, &frame.payload);
                    self.raw.send(&pong).await;
                }
                _ => return Some(frame),
            }
        }
    }

    /// What became of a stream: its HEADERS, `RST_STREAM`, or the connection's GOAWAY or end (none).
    pub(crate) async fn fate(&mut self, stream: u32) -> Option<Frame> {
        self.raw.patience = Duration::from_secs(10);
        loop {
            let frame = self.next().await?;
            let about_it = frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM);
            if about_it || frame.kind == GOAWAY {
                return Some(frame);
            }
        }
    }
}

/// The status in a HEADERS frame, where HPACK's static table has it; 0 for any other.
pub(crate) fn indexed_status(frame: &Frame) -> u16 {
    if frame.kind != HEADERS {
        return 0;
    }
    match frame.payload.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8b) => 304,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        _ => 0,
    }
}
