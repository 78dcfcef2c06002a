//! What a refusal says to the person in front of it: the same sentences on a page, in JSON and in monday's notification.
//! All ways in which a proof of identity can be wrong, except its age, read the same: the difference helps only who forges one.

use std::borrow::Cow;

use crate::grants::Down;
use crate::grants::standing::Standing;
use crate::pipeline::refusal::{Forbidden, GrantsNeeded, Refusal, Unauthorized, UpstreamFault};

/// Three sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// A title.
    pub(super) title: &'static str,
    /// What happened.
    pub(super) happened: Cow<'static, str>,
    /// What the reader can do.
    pub(super) advice: Cow<'static, str>,
}

const fn say(title: &'static str, happened: &'static str, advice: &'static str) -> Words {
    Words { title, happened: Cow::Borrowed(happened), advice: Cow::Borrowed(advice) }
}

const ASK_THE_DEVELOPER: &str = "If it happens again, tell the app's developer.";
const TRY_LATER: &str = "Try again in a moment.";

/// The sentences of a refusal.
pub(super) fn words(refusal: &Refusal) -> Words {
    match refusal {
        Refusal::Malformed(_) | Refusal::BodyBroken => say(
            "Request not understood",
            "The request is malformed or can be read in more than one way.",
            ASK_THE_DEVELOPER,
        ),
        Refusal::HeadTooSlow | Refusal::BodyTooSlow => {
            say("Request too slow", "The request did not arrive in time.", TRY_LATER)
        }
        Refusal::HeadTooLarge => {
            say("Request too large", "The request's address and fields are too large.", ASK_THE_DEVELOPER)
        }
        Refusal::BodyTooLarge { .. } => {
            say("Request too large", "The request's content is too large.", "Send less at once.")
        }
        Refusal::MethodRefused | Refusal::NoMethod { .. } => {
            say("Method not allowed", "Nothing here answers to this method.", ASK_THE_DEVELOPER)
        }
        Refusal::NoRoute => say(
            "Nothing here",
            "There is nothing at this address.",
            "Check the address, or go back to monday.com and open the app from there.",
        ),
        Refusal::Misdirected => say(
            "Wrong connection",
            "This address is not served over this connection.",
            "Load it again: a new connection is made for it.",
        ),
        Refusal::Unauthorized(why) => unauthorized(why),
        Refusal::Forbidden(why) => forbidden(*why),
        Refusal::Grants(needed) => grants(needed),
        Refusal::GrantsDown(down) => grants_down(*down),
        Refusal::OriginRefused => {
            say("Not allowed from here", "This website may not call this address.", ASK_THE_DEVELOPER)
        }
        Refusal::KeysDown => {
            say("Not available at the moment", "Who is calling cannot be verified at the moment.", TRY_LATER)
        }
        Refusal::Upstream(fault) => upstream(*fault),
        Refusal::PageUnavailable => say("Not available right now", "This page could not be made in time.", TRY_LATER),
        Refusal::Internal => say("Something went wrong", "Something went wrong on our side.", TRY_LATER),
    }
}

/// As [`words`], for a program that has its token from an issuer and not from monday.com.
pub(super) fn words_for_programs(refusal: &Refusal) -> Words {
    match refusal {
        Refusal::Unauthorized(Unauthorized::Missing) => say(
            "Sign in first",
            "The request does not say who is calling.",
            "Sign in, and send what you are given in the Authorization field.",
        ),
        Refusal::Unauthorized(Unauthorized::Expired { .. }) => {
            say("This has expired", "The sign-in is no longer valid.", "Sign in again, and repeat the request.")
        }
        Refusal::Unauthorized(_) => say(
            "Who is calling could not be verified",
            "The sign-in is not accepted here.",
            "Sign in again, and repeat the request; if it happens again, tell the app's developer.",
        ),
        other => words(other),
    }
}

fn unauthorized(why: &Unauthorized) -> Words {
    match why {
        Unauthorized::Missing => say(
            "Open this from monday.com",
            "The request does not say who is calling.",
            "Go to monday.com and open the app from there.",
        ),
        Unauthorized::Expired { .. } => say(
            "This has expired",
            "What monday.com sent along is no longer valid.",
            "Go back to monday.com and start again from there.",
        ),
        Unauthorized::Multiple
        | Unauthorized::Token(_)
        | Unauthorized::OtherSecret { .. }
        | Unauthorized::NotYetValid { .. }
        | Unauthorized::Audience { .. }
        | Unauthorized::WrongApp { .. }
        | Unauthorized::WrongKind { .. } => say(
            "Who is calling could not be verified",
            "The app could not verify that this request comes from monday.com.",
            "Go back to monday.com and start again from there; if it happens again, tell the app's developer.",
        ),
    }
}

fn forbidden(why: Forbidden) -> Words {
    let (happened, advice) = match why {
        Forbidden::Guest => ("This part of the app is not for guests.", "Ask a member of the account."),
        Forbidden::ViewOnly => ("This part of the app is not for viewers.", "Ask a member of the account."),
        Forbidden::NotAdmin => ("This part of the app is for admins of the account.", "Ask an admin of the account."),
        Forbidden::Account => ("This app is not available to this account.", "Ask the app's developer for access."),
    };
    say("Not allowed", happened, advice)
}

fn grants(needed: &GrantsNeeded) -> Words {
    let names: Vec<&str> = needed.grants.iter().map(|grant| grant.display.as_str()).collect();
    let names = names.join(" and ");
    let is_new = needed.grants.iter().all(|grant| grant.standing == Standing::Missing);
    let (title, happened) = if is_new {
        ("Please connect", format!("This app needs to be connected to {names} first."))
    } else {
        ("Please connect again", format!("This app's connection to {names} has ended."))
    };
    let advice = match &needed.link {
        Some(link) => format!("Connect it here, within the next ten minutes: {link}"),
        None => "Open the app in monday.com and connect it there.".to_owned(),
    };
    Words { title, happened: Cow::Owned(happened), advice: Cow::Owned(advice) }
}

fn grants_down(down: Down) -> Words {
    let happened = match down {
        Down::Store | Down::Busy | Down::Late => "The app cannot look up its connections at the moment.",
        Down::Provider => "A service that this app is connected to does not answer at the moment.",
    };
    say("The app is busy", happened, TRY_LATER)
}

fn upstream(fault: UpstreamFault) -> Words {
    match fault {
        UpstreamFault::Connect | UpstreamFault::Closed | UpstreamFault::Broken => {
            say("The app does not answer", "The app could not be reached, or its answer made no sense.", TRY_LATER)
        }
        UpstreamFault::Exhausted => say("The app is busy", "The app is busy at the moment.", TRY_LATER),
        UpstreamFault::ConnectTimeout | UpstreamFault::Timeout => {
            say("The app took too long", "The app did not answer in time.", TRY_LATER)
        }
    }
}
