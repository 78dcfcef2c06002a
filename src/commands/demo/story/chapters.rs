//! The chapters, in their order: each begins where the one before it ended, and is judged alone.

use std::time::{Duration, Instant};

use crate::commands::demo::backend::{Received, shortened};
use crate::commands::demo::fakes::{Fake, SHORT_LIFE};
use crate::commands::demo::gateway_toml::PROVIDER;
use crate::commands::demo::scene::BACK_TO;
use crate::commands::demo::story::browser::{Astray, Browser, Page};
use crate::commands::demo::story::{Came, Cast, Chapter, kept};
use crate::grants::record::State;
use crate::monday::mint::LIFETIME;
use crate::monday::verdict::severity_code;

/// The field with the provider's token.
const TOKEN: &str = "x-codehost-access-token";
/// How long grants may take to go.
const GOING: Duration = Duration::from_secs(10);
/// Characters of a value that are told.
const SHOWN: usize = 40;
/// Characters of a link that are told.
const LINK: usize = 60;

/// Tells all of it.
pub(in crate::commands::demo) async fn tell(cast: &Cast) -> Vec<Chapter> {
    let mut browser = Browser::new(cast.scene.file("ca.pem"));
    vec![
        connect(cast, &mut browser).await,
        again(cast, &mut browser).await,
        look(cast).await,
        refresh(cast).await,
        lose(cast, &mut browser).await,
        uninstall(cast).await,
    ]
}

async fn connect(cast: &Cast, browser: &mut Browser) -> Chapter {
    let mut chapter = Chapter::new("A user adds the automation, and connects what it needs");
    chapter.tell(format!("monday.com opens {}/tracker/authorize?token=...", cast.scene.origin));
    match walk(cast, browser, &mut chapter).await {
        Ok(page) => {
            chapter.tell(format!("and goes back: {} (status {})", page.url, page.status));
            let is_back = page.url.path() == BACK_TO && page.status == 200;
            chapter.expect(is_back.into(), format!("it ended at {}", page.url.path()));
            let shows = cast.monday.all().iter().any(|token| page.html.contains(token.as_str()));
            chapter.expect(shows.into(), "the last page does not show what the backend got");
        }
        Err(astray) => chapter.wrong.push(astray.to_string()),
    }
    chapter.tell("monday.com runs the action, and the backend gets, beside what every action has:");
    if let Some(received) = act(cast, &mut chapter).await {
        chapter.told.extend(told(&received));
    }
    chapter
}

/// Through both consent pages.
async fn walk(cast: &Cast, browser: &mut Browser, chapter: &mut Chapter) -> Result<Page, Astray> {
    let mut page = browser.open(&cast.authorization_url(LIFETIME)).await?;
    for (fake, name) in [(&cast.monday, "monday.com"), (&cast.provider, cast.provider.name())] {
        page = consent(browser, (page, name), fake, chapter).await?;
    }
    Ok(page)
}

async fn consent(
    browser: &mut Browser,
    (page, name): (Page, &str),
    fake: &Fake,
    chapter: &mut Chapter,
) -> Result<Page, Astray> {
    let words = format!("Continue to {name}");
    chapter.tell(format!("the gateway's page: {}; press `{words}`", page.line()));
    let page = browser.press(&page, &words).await?;
    chapter.tell(format!("{}'s page: {}; press `Allow`", fake.name(), page.line()));
    browser.press(&page, "Allow").await
}

async fn again(cast: &Cast, browser: &mut Browser) -> Chapter {
    let mut chapter = Chapter::new("The next automation: nothing is asked");
    match browser.open(&cast.authorization_url(LIFETIME)).await {
        Ok(page) => {
            chapter.tell(format!("the Authorization URL leads to {} at once", page.url));
            chapter.expect((page.url.path() == BACK_TO).into(), format!("it ended at {}", page.line()));
        }
        Err(astray) => chapter.wrong.push(astray.to_string()),
    }
    chapter
}

async fn look(cast: &Cast) -> Chapter {
    let mut chapter = Chapter::new("What the vault keeps, as `monday-gateway vault show` tells it");
    match kept::all(&cast.vault).await {
        Ok(grants) => {
            let is_whole = grants.len() == 2 && grants.iter().all(|one| one.grant.state == State::Ok);
            chapter.expect(is_whole.into(), format!("{} grants, or one that is not ok", grants.len()));
        }
        Err(fault) => chapter.wrong.push(fault.to_string()),
    }
    match kept::shown(&cast.vault).await {
        Ok(text) => chapter.told.extend(text.lines().map(str::to_owned)),
        Err(fault) => chapter.wrong.push(fault),
    }
    let tokens: Vec<String> = [&cast.monday, &cast.provider].into_iter().flat_map(Fake::all).collect();
    let mut bytes = Vec::new();
    for name in ["vault.db", "vault.db-wal"] {
        bytes.extend(std::fs::read(cast.scene.file(name)).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&bytes);
    let is_sealed = !bytes.is_empty() && !tokens.iter().any(|token| text.contains(token.as_str()));
    chapter.expect(is_sealed.into(), "the vault's file is not there, or a token can be read in it");
    chapter.tell(format!("In its file, {} bytes, none of the {} tokens can be read.", bytes.len(), tokens.len()));
    chapter
}

async fn refresh(cast: &Cast) -> Chapter {
    let mut chapter = Chapter::new("A token ends, and the backend gets the next one");
    let before = act(cast, &mut chapter).await;
    let redeemed = cast.provider.refreshes();
    wait_for_the_end().await;
    let after = act(cast, &mut chapter).await;
    chapter.tell(format!(
        "{}'s tokens live {SHORT_LIFE} seconds here; two requests, further apart than that:",
        cast.provider.name()
    ));
    for received in before.iter().chain(&after) {
        chapter.tell(format!("{TOKEN}: {}", shortened(received.header(TOKEN), SHOWN)));
    }
    let is_new = before.zip(after).is_some_and(|(before, after)| before.header(TOKEN) != after.header(TOKEN));
    chapter.expect(is_new.into(), "the second request carried no new token");
    let times = cast.provider.refreshes().saturating_sub(redeemed);
    chapter.tell(format!("Refresh tokens redeemed in between: {times}"));
    chapter.expect((times == 1).into(), format!("{times} refresh tokens were redeemed, not 1"));
    chapter
}

async fn lose(cast: &Cast, browser: &mut Browser) -> Chapter {
    let mut chapter = Chapter::new("A grant is lost, and the user connects again");
    let name = cast.provider.name();
    cast.provider.forget();
    chapter.tell(format!(
        "The user removes the app at {name}, which refuses the next refresh; monday.com runs the action:"
    ));
    wait_for_the_end().await;
    let Some(came) = refused(cast, &mut chapter).await else { return chapter };
    if let Ok(grants) = kept::all(&cast.vault).await {
        let lost = grants.iter().find(|one| one.key.provider == PROVIDER);
        let is_lost = lost.is_some_and(|one| one.grant.state == State::Expired && one.grant.access.is_empty());
        chapter.expect(is_lost.into(), "the vault does not say `expired`");
        chapter.told.extend(lost.map(kept::Kept::line));
    }
    let Some(link) = came.reconnect_link() else {
        chapter.wrong.push("there is no link to connect again".to_owned());
        return chapter;
    };
    chapter.tell(format!("The user opens the link of that answer, {}", shortened(&link, LINK)));
    match reconnect(cast, browser, &link, &mut chapter).await {
        Ok(page) => {
            chapter.tell(format!("the gateway's page: {}", page.line()));
            chapter.expect((page.title() == "Connected").into(), format!("it ended at {}", page.line()));
        }
        Err(astray) => chapter.wrong.push(astray.to_string()),
    }
    if act(cast, &mut chapter).await.is_some() {
        chapter.tell("monday.com runs the action again: the backend gets both tokens");
    }
    chapter
}

async fn reconnect(cast: &Cast, browser: &mut Browser, link: &str, chapter: &mut Chapter) -> Result<Page, Astray> {
    let page = browser.open(link).await?;
    consent(browser, (page, cast.provider.name()), &cast.provider, chapter).await
}

async fn uninstall(cast: &Cast) -> Chapter {
    let mut chapter = Chapter::new("The account uninstalls the app");
    match cast.uninstall().await {
        Ok(came) => {
            chapter.tell(format!("monday.com says so, signed: status {}, and the backend hears it, too", came.status));
            let is_heard = came.status == 200 && came.received.is_some();
            chapter.expect(is_heard.into(), format!("the webhook came to {}", came.status));
        }
        Err(fault) => chapter.wrong.push(fault),
    }
    let began = Instant::now();
    let left = loop {
        let left = kept::all(&cast.vault).await.map_or(usize::MAX, |grants| grants.len());
        let is_done = left == 0 && cast.provider.all().is_empty();
        if is_done || began.elapsed() > GOING {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    chapter.expect((left == 0).into(), format!("{left} grants are still in the vault"));
    chapter.expect(cast.provider.all().is_empty().into(), "not taken back at the provider");
    chapter.tell(format!(
        "The gateway asked monday.com, which refused; grants left in the vault: {left}; tokens that work at {}: {}",
        cast.provider.name(),
        cast.provider.all().len()
    ));
    drop(refused(cast, &mut chapter).await);
    chapter
}

/// An action that the backend should get, with tokens that work.
async fn act(cast: &Cast, chapter: &mut Chapter) -> Option<Received> {
    let came = cast.run_action().await.map_err(|fault| chapter.wrong.push(fault)).ok()?;
    chapter.expect((came.status == 200).into(), format!("the action came to {}, not 200: {}", came.status, came.body));
    let Some(received) = came.received else {
        chapter.wrong.push("the backend was not reached".to_owned());
        return None;
    };
    let grants = received.header("x-monday-grants");
    let expected = format!("monday=ok, {PROVIDER}=ok");
    chapter.expect((grants == expected).into(), format!("x-monday-grants: {grants}"));
    for (fake, name) in [(&cast.monday, "x-monday-access-token"), (&cast.provider, TOKEN)] {
        let works = fake.knows(received.header(name));
        chapter.expect(works.into(), format!("{name} is no token that works at {}", fake.name()));
    }
    Some(received)
}

/// An action that must not reach the backend, for want of a grant.
async fn refused(cast: &Cast, chapter: &mut Chapter) -> Option<Came> {
    let came = cast.run_action().await.map_err(|fault| chapter.wrong.push(fault)).ok()?;
    let code = severity_code(came.body.as_bytes());
    let is_refused = came.status == 403 && code == Some(4000) && came.received.is_none();
    chapter.tell(format!("status {}, severityCode {}, the backend is not asked", came.status, code.unwrap_or(0)));
    chapter.expect(is_refused.into(), format!("the action came to {}, not 403: {}", came.status, came.body));
    Some(came)
}

/// Until the provider's tokens of now are dead for the gateway: it counts one as dead a little before its end.
async fn wait_for_the_end() {
    tokio::time::sleep(Duration::from_secs(SHORT_LIFE.unsigned_abs())).await;
}

/// What the backend was told of grants.
fn told(received: &Received) -> Vec<String> {
    let of_grants = |name: &str| name.ends_with("-access-token") || name == "x-monday-grants";
    let fields = received.headers.iter().filter(|(name, _)| of_grants(name.as_str()));
    let mut lines: Vec<String> = fields
        .map(|(name, value)| format!("  {name}: {}", shortened(&String::from_utf8_lossy(value.as_bytes()), SHOWN)))
        .collect();
    lines.sort();
    let ids = ["x-monday-account-id", "x-monday-user-id"].map(|name| received.header(name));
    lines.push(format!("  x-monday-account-id: {}, x-monday-user-id: {}", ids[0], ids[1]));
    lines
}
