//! The one place that sees each backend's head before the client does: removes what a backend must not say, and takes over
//! cross-origin rules. Returns what goes to the client.

use http::header::{CONNECTION, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, Version};

use crate::headers::{announced, strip_response};
use crate::pipeline::Work;
use crate::pipeline::body::Content;
use crate::pipeline::forward::Answer;

/// Makes the client's answer of the backend's.
pub(crate) async fn answer(work: &Work<'_>, answer: Answer) -> Response<Content> {
    match answer {
        Answer::Ordinary(mut answer) => {
            let trailers =
                answer.headers_mut().remove(TRAILER).and_then(|names| announced(&names, &work.snapshot().removal));
            strip_response(answer.headers_mut(), &work.snapshot().removal);
            if let Some(names) = trailers {
                answer.headers_mut().insert(TRAILER, names);
            }
            answer.extensions_mut().clear();
            // What the backend speaks is between it and the gateway.
            *answer.version_mut() = Version::HTTP_11;
            let (parts, body) = answer.into_parts();
            Response::from_parts(parts, Content::gathered(body, work.installed).await)
        }
        Answer::Switched(mut answer, tunnel) => {
            strip_response(answer.headers_mut(), &work.snapshot().removal);
            switched(answer.headers_mut());
            *answer.version_mut() = Version::HTTP_11;
            work.connection.tunnel.replace(Some(tunnel));
            answer.map(|()| Content::none())
        }
    }
}

fn switched(fields: &mut HeaderMap) {
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
}
