//! The one way from a worker to the pages: a bounded port to the control plane. A worker hands over a visit and waits for its answer;
//! when too many wait, it is told at once. Knows HTTP answers and visits, and nothing of what a page says.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::authorize::flow::Flow;
use crate::limits;
use crate::snapshot::served::Page;

/// A request for a page, verified as its route asks.
#[derive(Clone)]
pub(crate) struct Visit {
    /// `apps.NAME` of the route.
    pub(crate) app: String,
    /// What the path is for.
    pub(crate) page: Page,
    /// POST; otherwise GET.
    pub(crate) is_post: bool,
    /// As it was matched.
    pub(crate) path: String,
    /// Without the question mark; may hold a state or a code.
    pub(crate) query: String,
    /// `Cookie` fields.
    pub(crate) cookies: Vec<String>,
    /// `Origin`.
    pub(crate) origin: Option<String>,
    /// `Sec-Fetch-Site`.
    pub(crate) fetch_site: Option<String>,
    /// `Accept-Language`.
    pub(crate) accept_language: String,
    /// Whom the token named, where the kind has one.
    pub(crate) caller: Option<Identified>,
    /// Joins the page to the log's line.
    pub(crate) request_id: String,
    /// The form, at most `limits::VISIT_BODY`.
    pub(crate) body: Bytes,
}

/// Whom a verified token named.
#[derive(Clone)]
pub(crate) struct Identified {
    /// The account.
    pub(crate) account: i64,
    /// The user.
    pub(crate) user: i64,
    /// The account's name in monday's URLs, where the token has it.
    pub(crate) slug: Option<String>,
    /// Where the user wants to go in the end; nobody has judged it yet.
    pub(crate) back_to: Option<String>,
    /// All claims, one JSON object.
    pub(crate) claims: Bytes,
}

/// What becomes of a visit.
#[derive(Debug)]
pub(crate) enum Admission {
    /// This is the answer.
    Answer(Box<Response<Bytes>>),
    /// It goes on to the backend.
    Onwards,
}

/// Who is to connect what, once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reconnect {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
    /// The account's name in monday's URLs, if known.
    pub(crate) slug: Option<String>,
    /// Names of the providers whose grants are missing or dead.
    pub(crate) providers: Vec<String>,
}

/// A worker's side. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Door(mpsc::Sender<Asked>);

/// The control plane's side.
#[derive(Debug)]
pub(crate) struct Waiting(mpsc::Receiver<Asked>);

enum Asked {
    Visit(Box<Visit>, oneshot::Sender<Admission>),
    Link(Reconnect, oneshot::Sender<Option<String>>),
}

/// Both sides of a port.
pub(crate) fn open() -> (Door, Waiting) {
    let (sender, receiver) = mpsc::channel(limits::VISITS_WAITING);
    (Door(sender), Waiting(receiver))
}

impl Door {
    /// A door behind which nobody is: for a gateway that serves no pages.
    pub(crate) fn shut() -> Self {
        open().0
    }

    /// Hands a visit over and waits for what becomes of it. None: too many wait, or nobody is there.
    pub(crate) async fn enter(&self, visit: Visit) -> Option<Admission> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Asked::Visit(Box::new(visit), answer)).ok()?;
        answered.await.ok()
    }

    /// A one-time link, good for ten minutes, with which this user connects again. None: there is nobody to make one now; the caller says
    /// so without a link. Bounded by its caller ([`limits::LINK_WAIT`]).
    pub(crate) async fn reconnect(&self, reconnect: Reconnect) -> Option<String> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Asked::Link(reconnect, answer)).ok()?;
        answered.await.ok()?
    }
}

/// Answers visits until every door is gone. A visit that panics, or is dropped by its worker, ends alone.
pub(crate) async fn serve(mut waiting: Waiting, flow: Flow) {
    let places = Arc::new(Semaphore::new(limits::VISITS_AT_ONCE));
    while let Some(asked) = waiting.0.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let flow = flow.clone();
        tokio::spawn(async move {
            let _place = place;
            match asked {
                Asked::Visit(visit, answer) => {
                    // Nobody does the work of a worker that has given up; what is under way at a provider is finished all the same.
                    if answer.is_closed() {
                        return;
                    }
                    let visited = tokio::time::timeout(limits::VISIT, Box::pin(flow.visit(&visit)));
                    if let Ok(admission) = visited.await {
                        let _gone: Result<(), Admission> = answer.send(admission);
                    }
                }
                Asked::Link(reconnect, answer) => {
                    let _gone: Result<(), _> = answer.send(flow.reconnect_link(&reconnect).await);
                }
            }
        });
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("app", &self.app).field("page", &self.page).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified").field("account", &self.account).field("user", &self.user).finish_non_exhaustive()
    }
}
