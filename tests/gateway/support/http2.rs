//! A polite HTTP/2 client over the `h2` crate.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::task::JoinHandle;

use super::SOON;
use super::answer::Answer;
use super::gateway::Gateway;

/// One connection.
pub(crate) struct H2 {
    pub(crate) send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A request of the given method and path with Host `gw.test`.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(format!("https://gw.test{path}"));
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

impl H2 {
    /// Connects with ALPN `h2`.
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let raw = gateway.connect_tls("gw.test", &["h2"]).await;
        let (send, connection) = h2::client::handshake(raw.io).await.unwrap();
        Self { send, driver: tokio::spawn(connection) }
    }

    /// Sends one request with its whole body and takes the whole answer.
    pub(crate) async fn ask(&mut self, request: Request<()>, body: &[u8]) -> Answer {
        self.try_ask(request, body).await.unwrap()
    }

    /// As `ask`, with the stream's failure.
    pub(crate) async fn try_ask(&mut self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        let (answer, mut sending) = self.open(request, body.is_empty()).await?;
        if !body.is_empty() {
            sending.send_data(Bytes::copy_from_slice(body), true)?;
        }
        let whole = async {
            let (mut answer, body) = head_of(answer).await?;
            read_body(&mut answer, body).await?;
            Ok(answer)
        };
        tokio::time::timeout(SOON, whole).await.expect("an answer in time")
    }

    /// Opens a stream; the body is the caller's.
    #[expect(clippy::fn_params_excessive_bools, reason = "as h2 has it")]
    pub(crate) async fn open(
        &mut self,
        request: Request<()>,
        no_body: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.send = self.send.clone().ready().await?;
        self.send.send_request(request, no_body)
    }

    /// How the connection ended, within `SOON`.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        drop(self.send);
        tokio::time::timeout(SOON, self.driver).await.expect("the connection ends").unwrap()
    }
}

/// The head of an answer, and its body to read.
pub(crate) async fn head_of(answer: ResponseFuture) -> Result<(Answer, RecvStream), h2::Error> {
    let (head, body) = tokio::time::timeout(SOON, answer).await.expect("a head in time")?.into_parts();
    let fields = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), value.as_bytes().iter().map(|byte| char::from(*byte)).collect())
    });
    Ok((Answer { status: head.status.as_u16(), fields: fields.collect(), ..Answer::default() }, body))
}

/// All that is left of a body, and its trailers.
pub(crate) async fn read_body(answer: &mut Answer, mut body: RecvStream) -> Result<(), h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        answer.body.extend_from_slice(&piece);
    }
    if let Some(trailers) = body.trailers().await? {
        answer.trailers = trailers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
    }
    Ok(())
}
