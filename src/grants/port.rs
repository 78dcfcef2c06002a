//! The way from a worker to the control plane, for everything about grants: a bounded queue of questions, an answer with a deadline.
//! An answer holds ready, sensitive header values; the worker keeps it for the next requests of that user, as long as its generation
//! holds. A question that finds the queue full, or no answer in time, is `Down`. Never reaches a store itself.

use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::deadline::Deadlines;
use crate::grants::answering::{Answer, answer, answer_again};
use crate::grants::cache::Generations;
use crate::grants::standing::Standing;
use crate::grants::uninstall::Marks;
use crate::grants::{Down, Grants, Who};
use crate::limits;
use crate::snapshot::needs::Needs;

/// What is known of the grants that a route needs, for one user.
#[derive(Debug)]
pub(crate) struct Looked {
    /// Access tokens, what else the providers gave, and `X-Monday-Grants`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Fields whose value does not fit.
    pub(crate) omitted: SmallVec<[HeaderName; 1]>,
    /// What each grant came to, in the order of the needs.
    pub(crate) grants: SmallVec<[Known; 2]>,
    /// Of the user, when this was asked for.
    pub(super) generation: u64,
    /// How long a worker may keep it.
    pub(super) keeps: Duration,
}

/// What one grant came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// What became of it, or why nobody knows.
    pub(crate) standing: Result<Standing, Down>,
    /// The version of the grant whose token is in the headers; 0 if there is none.
    pub(crate) version: u64,
}

/// What a worker asks or tells.
#[derive(Debug)]
pub(super) enum Question {
    /// What is known of these grants?
    Look(Asked, oneshot::Sender<Answer>),
    /// A backend says that the token of the grant in this place, of this version, was refused.
    Rejected(Asked, (usize, u64), oneshot::Sender<Answer>),
    /// The account of this token says that it uninstalled the app. Answered once that is written down; not at all, if it cannot be.
    Uninstalled(Who, oneshot::Sender<()>),
    /// The account of this token says that it installed the app.
    Installed(Who),
    /// A request signed with the signing secret came from an account, while some account is marked.
    Alive(Who),
}

/// Whose grants, and which.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) needs: Arc<Needs>,
    pub(super) who: Who,
    pub(super) generation: u64,
}

/// A worker's side. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    questions: mpsc::Sender<Question>,
    generations: Arc<Generations>,
    marks: Arc<Marks>,
}

/// The control plane's side.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Question>);

/// Both sides.
pub(crate) fn open(generations: Arc<Generations>, marks: Arc<Marks>) -> (Port, Questions) {
    let (questions, receiver) = mpsc::channel(limits::GRANT_QUESTIONS);
    (Port { questions, generations, marks }, Questions(receiver))
}

/// A user, as a worker keeps answers: the set of grants, the account and the user.
type Place = (u64, i64, i64);

/// The answers that one core keeps. Two halves: what is used again moves to the younger one, which becomes the older one
/// when it is full; what is in the older one then is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    young: HashMap<Place, Copied>,
    old: HashMap<Place, Copied>,
}

#[derive(Clone, Debug)]
struct Copied {
    looked: Rc<Looked>,
    /// Coarse milliseconds of the core.
    until: u64,
}

impl Copies {
    fn get(&mut self, place: Place) -> Option<Copied> {
        if let Some(copied) = self.young.get(&place) {
            return Some(copied.clone());
        }
        let copied = self.old.remove(&place)?;
        self.keep(place, copied.clone());
        Some(copied)
    }

    fn keep(&mut self, place: Place, copied: Copied) {
        if self.young.len() >= limits::GRANT_COPIES / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(place, copied);
    }

    fn forget(&mut self, place: Place) {
        self.young.remove(&place);
        self.old.remove(&place);
    }
}

impl Port {
    /// What this core knows already. No lock, no allocation.
    #[inline]
    pub(crate) fn copied(&self, copies: &mut Copies, ids: (i64, i64), at: (&Needs, u64)) -> Option<Rc<Looked>> {
        let (needs, now_millis) = at;
        let copied = copies.get((needs.id, ids.0, ids.1))?;
        let holds = copied.until > now_millis && copied.looked.generation == self.generations.of(ids);
        holds.then_some(copied.looked)
    }

    /// Asks what is known of the grants of a route, and waits: a second, and longer only for a token that is being refreshed.
    pub(crate) async fn look(
        &self,
        needs: &Arc<Needs>,
        ids: (i64, i64),
        deadlines: &Deadlines,
    ) -> Result<Looked, Down> {
        self.ask(|reply| Question::Look(self.asked(needs, ids), reply), deadlines).await
    }

    /// Tells that a backend had the token of the grant in place `at` refused, and waits for a newer one.
    pub(crate) async fn rejected(
        &self,
        needs: &Arc<Needs>,
        ids: (i64, i64),
        token: (usize, u64),
        deadlines: &Deadlines,
    ) -> Result<Looked, Down> {
        self.ask(|reply| Question::Rejected(self.asked(needs, ids), token, reply), deadlines).await
    }

    /// Keeps an answer on this core.
    pub(crate) fn keep(
        copies: &mut Copies,
        place: (&Needs, (i64, i64)),
        looked: Looked,
        now_millis: u64,
    ) -> Rc<Looked> {
        let (needs, (account, user)) = place;
        let place = (needs.id, account, user);
        let until = now_millis.saturating_add(u64::try_from(looked.keeps.as_millis()).unwrap_or(u64::MAX));
        let looked = Rc::new(looked);
        if looked.keeps.is_zero() {
            copies.forget(place);
        } else {
            copies.keep(place, Copied { looked: Rc::clone(&looked), until });
        }
        looked
    }

    /// Whether signs of life are of interest.
    #[inline]
    pub(crate) fn wants_life(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Tells that an account uninstalled the app, and waits until that is written down.
    pub(crate) async fn uninstalled(&self, who: Who, deadlines: &Deadlines) -> Result<(), Down> {
        let (reply, replied) = oneshot::channel();
        self.questions.try_send(Question::Uninstalled(who, reply)).map_err(|_full| Down::Busy)?;
        let replied = deadlines.after(limits::UNINSTALL_WRITTEN).bound(pin!(replied)).await;
        replied.ok_or(Down::Late)?.map_err(|_not_written| Down::Store)
    }

    /// Tells something that needs no answer. False if the queue is full.
    pub(crate) fn tell(&self, news: News, who: Who) -> bool {
        let question = match news {
            News::Installed => Question::Installed(who),
            News::Alive => Question::Alive(who),
        };
        self.questions.try_send(question).is_ok()
    }

    fn asked(&self, needs: &Arc<Needs>, (account, user): (i64, i64)) -> Asked {
        let who = Who { app: needs.app.clone(), account, user };
        // Before anything is read: what changes meanwhile makes the answer void.
        Asked { needs: Arc::clone(needs), who, generation: self.generations.of((account, user)) }
    }

    async fn ask(
        &self,
        question: impl FnOnce(oneshot::Sender<Answer>) -> Question,
        deadlines: &Deadlines,
    ) -> Result<Looked, Down> {
        let began = Instant::now();
        let (reply, replied) = oneshot::channel();
        self.questions.try_send(question(reply)).map_err(|_full| Down::Busy)?;
        let replied = deadlines.after(limits::GRANT_LOOKUP).bound(pin!(replied)).await;
        match replied.ok_or(Down::Late)?.map_err(|_gone| Down::Busy)? {
            Answer::Now(looked) => Ok(*looked),
            Answer::Down(down) => Err(down),
            Answer::Soon(looked) => {
                let looked =
                    deadlines.after(limits::GRANT_REFRESH.saturating_sub(began.elapsed())).bound(pin!(looked)).await;
                looked.ok_or(Down::Late)?.map(|looked| *looked).map_err(|_gone| Down::Provider)
            }
        }
    }
}

/// What a request tells of its account, once its token is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The app was installed.
    Installed,
    /// monday sends the account's requests.
    Alive,
}

/// Answers the workers until all of them are gone. Before there are grants, since the store could not be reached yet, everything is down.
pub(crate) async fn serve(mut questions: Questions, grants: watch::Receiver<Option<Grants>>) {
    let places = Arc::new(Semaphore::new(limits::GRANT_QUESTIONS_TAKEN));
    while let Some(question) = questions.0.recv().await {
        let grants = grants.borrow().clone();
        let Some(grants) = grants else {
            refuse(question);
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::spawn(async move {
            take(&grants, question).await;
            drop(place);
        });
    }
}

/// There are no grants yet.
fn refuse(question: Question) {
    match question {
        Question::Look(_, reply) | Question::Rejected(_, _, reply) => {
            drop(reply.send(Answer::Down(Down::Store)));
        }
        // Without an answer it is refused, so that monday tells it again.
        Question::Uninstalled(who, _reply) => {
            tracing::error!(
                app = who.app,
                account = who.account,
                "an uninstall came while the store cannot be reached"
            );
        }
        Question::Installed(_) | Question::Alive(_) => {}
    }
}

async fn take(grants: &Grants, question: Question) {
    match question {
        Question::Look(asked, reply) => answer(grants, &asked, reply).await,
        Question::Rejected(asked, token, reply) => answer_again(grants, &asked, token, reply).await,
        Question::Uninstalled(who, reply) => grants.uninstalled(&who.app, who.account, reply).await,
        Question::Installed(who) => grants.installed(&who.app, who.account).await,
        Question::Alive(who) => grants.alive(&who.app, who.account).await,
    }
}
