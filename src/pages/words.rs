//! What the pages say, by language: English is built in, others are files of a team (`de.toml`), chosen by `Accept-Language`. A file that
//! names a sentence or a placeholder that does not exist is refused; one that leaves a sentence out gets the English one.
//! RFC 9110, section 12.5.4; RFC 4647, section 3.4.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use crate::pages::screen::Tongue;

macro_rules! sentences {
    ($($(#[$doc:meta])* $say:ident $key:literal $english:literal)*) => {
        /// Every sentence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Say { $($(#[$doc])* #[doc = $english] $say),* }

        /// Every sentence, with its key in a file of words, and in English.
        const ENGLISH: &[(Say, &str, &str)] = &[$((Say::$say, $key, $english)),*];
    };
}

sentences! {
    Account "account" "Account"
    App "app" "App"
    User "user" "User"
    Request "request" "Request"
    Help "help" "Need help?"
    BackToMonday "back_to_monday" "Back to monday.com"
    TryAgain "try_again" "Try again"
    ProgressTitle "progress_title" "Connect your accounts"
    ProgressText "progress_text" "{app} needs access to work for you. You are user {user} of account {account}; what you connect here is used for you alone, unless it says otherwise."
    ProgressShared "progress_shared" "{provider} is connected for the whole account {account}."
    ProgressIdentity "progress_identity" "monday.com is asked first, so that {app} knows that it is you."
    ProgressPartly "progress_partly" "{provider} did not give every permission that {app} needs. Please allow all of them."
    Step "step" "{number} of {count}: {provider}"
    StepDone "step_done" "done"
    Continue "continue" "Continue to {provider}"
    ConfirmTitle "confirm_title" "Is this you?"
    ConfirmText "confirm_text" "{app} will connect accounts for user {user} of the monday.com account {account}. Go on only if that is you, and if you came here from monday.com yourself: whoever sent you this link could otherwise use what you connect."
    ConfirmYes "confirm_yes" "Yes, this is me"
    KeysTitle "keys_title" "Your key for {provider}"
    KeysText "keys_text" "Enter what {provider} gave you. It is kept encrypted, and used by {app} for user {user} of account {account} only."
    KeysTextShared "keys_text_shared" "Enter what {provider} gave you. It is kept encrypted, and used by {app} for everybody in account {account}."
    KeysHelp "keys_help" "Where to find it"
    KeysConnect "keys_connect" "Connect {provider}"
    KeysRefused "keys_refused" "{provider} did not accept this. Check what you entered, and try again."
    KeysIncomplete "keys_incomplete" "Please fill in every field."
    Back "back" "Back"
    ConnectionsTitle "connections_title" "Your connections"
    ConnectionsText "connections_text" "What {app} may use for user {user} of account {account}."
    ConnectionOk "connection_ok" "Connected"
    ConnectionMissing "connection_missing" "Not connected"
    ConnectionExpired "connection_expired" "Expired"
    ConnectionRevoked "connection_revoked" "Disconnected"
    ConnectionInsufficient "connection_insufficient" "More permissions are needed"
    ConnectionShared "connection_shared" "For the whole account {account}."
    ConnectionAdmins "connection_admins" "For the whole account {account}; an admin manages it."
    Connect "connect" "Connect {provider}"
    Reconnect "reconnect" "Reconnect {provider}"
    Disconnect "disconnect" "Disconnect {provider}"
    Disconnected "disconnected" "It was disconnected. {app} cannot use it any more."
    DoneTitle "done_title" "Connected"
    DoneText "done_text" "{app} has what it needs for user {user} of account {account}."
    DoneClose "done_close" "You can close this page."
    GoOn "go_on" "Go on to monday.com"
    SeeConnections "see_connections" "See your connections"
    DeniedTitle "denied_title" "{provider} was not connected"
    DeniedText "denied_text" "You, or {provider}, said no. Nothing was stored. {app} does not work for you without it."
    FaultTitle "fault_title" "{provider} reported a problem"
    FaultText "fault_text" "{app} could not be connected to {provider}. Nothing was stored. Try again; if it happens again, tell the app's developer."
    FaultDetail "fault_detail" "For the developer: {detail}"
    NotInstalledTitle "not_installed_title" "The app is not installed"
    NotInstalledText "not_installed_text" "{app} is not installed on account {account}. An admin of the account can install it; then try again."
    OtherTitle "other_title" "Another account is signed in"
    OtherText "other_text" "monday.com says that you are user {them} of account {theirs}. But this is for user {user} of account {account}. Nothing was stored."
    OtherAdvice "other_advice" "Sign in to monday.com as that user, or switch there, and try again. If somebody else sent you this link, close this page."
    Switch "switch" "Switch account"
    ExpiredTitle "expired_title" "This attempt has expired"
    ExpiredText "expired_text" "This step was finished already, took too long, or was opened in a way that cannot be told from a forgery. Nothing was stored."
    ExpiredAdvice "expired_advice" "Go back to monday.com and start again from there."
    BrowserTitle "browser_title" "This was started in another browser"
    BrowserText "browser_text" "Connecting accounts begins and ends in the same browser. Nothing was stored. If somebody sent you this link, close this page; otherwise allow cookies for this address, go back to monday.com, and start again from there."
    AdminTitle "admin_title" "An admin has to connect {provider}"
    AdminText "admin_text" "{provider} is connected once for the whole account {account}, and user {user} may not do it for {app}. Ask an admin of the account to open {app} and connect it; then try again."
    AstrayTitle "astray_title" "This link leads somewhere unexpected"
    AstrayText "astray_text" "The address to which you would be sent in the end is not one that {app} allows. Go back to monday.com and start again from there; if it happens again, tell the app's developer."
    UnknownTitle "unknown_title" "Open this from monday.com"
    UnknownText "unknown_text" "{app} does not know who you are in this browser. Open {app} in monday.com, and come here from there."
    FormTitle "form_title" "This form has expired"
    FormText "form_text" "The form was open for too long, or did not come from this page. Nothing was changed. Load the page again."
    DownTitle "down_title" "Not available right now"
    DownText "down_text" "{app} cannot reach what it needs at the moment. Nothing was stored. Try again in a moment."
}

/// The languages of a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Languages {
    /// English first.
    all: Vec<Language>,
}

/// One language.
#[derive(Clone, Debug)]
pub(crate) struct Language {
    tag: String,
    direction: &'static str,
    words: HashMap<Say, String>,
}

/// Why a folder of words is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WordsFault {
    /// The folder, or a file in it.
    #[error("{path}: {fault}")]
    Unreadable {
        /// Where.
        path: String,
        /// What the system says.
        fault: std::io::Error,
    },
    /// What it says.
    #[error("{path}: {what}")]
    Wrong {
        /// Where.
        path: String,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl Default for Languages {
    fn default() -> Self {
        let words = ENGLISH.iter().map(|(say, _, english)| (*say, (*english).to_owned())).collect();
        Self { all: vec![Language { tag: "en".to_owned(), direction: "ltr", words }] }
    }
}

impl Languages {
    /// English, and a folder's files: `de.toml`, `pt-BR.toml`. `en.toml` replaces sentences of the English that is built in.
    pub(crate) fn load(folder: &Path) -> Result<Self, WordsFault> {
        let unreadable = |path: &Path, fault| WordsFault::Unreadable { path: path.display().to_string(), fault };
        let mut languages = Self::default();
        let entries = fs::read_dir(folder).map_err(|fault| unreadable(folder, fault))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|fault| unreadable(folder, fault))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let tag = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let text = fs::read_to_string(&path).map_err(|fault| unreadable(&path, fault))?;
            languages.add(tag, &text).map_err(|what| WordsFault::Wrong { path: path.display().to_string(), what })?;
        }
        Ok(languages)
    }

    /// Adds, or amends, one language.
    pub(crate) fn add(&mut self, tag: &str, text: &str) -> Result<(), String> {
        if tag.is_empty()
            || !tag
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return Err(format!("`{tag}` is no language: name the file as in de.toml or pt-BR.toml"));
        }
        let mut file: BTreeMap<String, String> =
            toml::from_str(text).map_err(|fault| format!("not a table of sentences: {}", fault.message()))?;
        let direction = match file.remove("direction").as_deref() {
            None => None,
            Some("ltr") => Some("ltr"),
            Some("rtl") => Some("rtl"),
            Some(_) => return Err("`direction` is \"ltr\" or \"rtl\"".to_owned()),
        };
        let at = self.all.iter().position(|language| language.tag.eq_ignore_ascii_case(tag)).unwrap_or_else(|| {
            let words = Self::default().all.pop().map_or_else(HashMap::new, |english| english.words);
            self.all.push(Language { tag: tag.to_owned(), direction: "ltr", words });
            self.all.len() - 1
        });
        let Some(language) = self.all.get_mut(at) else { return Ok(()) };
        language.direction = direction.unwrap_or(language.direction);
        for (key, sentence) in file {
            let known = ENGLISH.iter().find(|(_, known, _)| *known == key);
            let Some((say, _, english)) = known else {
                let keys: Vec<&str> = ENGLISH.iter().map(|(_, key, _)| *key).collect();
                return Err(format!("there is no sentence `{key}`; the sentences are {}", keys.join(", ")));
            };
            if let Some(strange) =
                placeholders(&sentence).find(|name| !placeholders(english).any(|known| known == *name))
            {
                return Err(format!(
                    "`{key}` has {{{strange}}}, which is not known there: in English it is \"{english}\""
                ));
            }
            language.words.insert(*say, sentence);
        }
        Ok(())
    }

    /// The language that a reader likes best of those that there are.
    pub(crate) fn choose(&self, accept: &str) -> &Language {
        let mut wishes: Vec<(u16, &str)> = accept.split(',').filter_map(wish).collect();
        wishes.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let found = wishes.iter().find_map(|(_, range)| self.lookup(range));
        found.or_else(|| self.all.first()).unwrap_or(&NONE)
    }

    /// RFC 4647, section 3.4: the range is cut from its end until it fits; a language without region serves all of its regions' readers.
    fn lookup(&self, range: &str) -> Option<&Language> {
        let mut range = range;
        loop {
            if let Some(found) = self.all.iter().find(|language| language.tag.eq_ignore_ascii_case(range)) {
                return Some(found);
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

/// Never used: there is always English.
static NONE: std::sync::LazyLock<Language> =
    std::sync::LazyLock::new(|| Language { tag: "en".to_owned(), direction: "ltr", words: HashMap::new() });

impl Language {
    /// A sentence, with its placeholders filled in.
    pub(crate) fn say(&self, say: Say, fill: &[(&str, &str)]) -> String {
        let sentence = self.words.get(&say).map_or("", String::as_str);
        let mut said = String::with_capacity(sentence.len() + 32);
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            said.push_str(before);
            let Some((name, behind)) = after.split_once('}') else { break };
            said.push_str(fill.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = behind;
        }
        said.push_str(rest);
        said
    }

    /// For the page's first line.
    pub(crate) fn tongue(&self) -> Tongue<'_> {
        Tongue { language: &self.tag, direction: self.direction }
    }
}

fn placeholders(sentence: &str) -> impl Iterator<Item = &str> {
    sentence.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default())
}

/// One range of `Accept-Language`, with its weight in thousandths; none for a range that is not wanted.
fn wish(range: &str) -> Option<(u16, &str)> {
    let (tag, weight) = range.split_once(';').map_or((range, None), |(tag, weight)| (tag, Some(weight)));
    let weight = match weight.map(str::trim).and_then(|weight| weight.strip_prefix("q=")) {
        None => 1000,
        Some(text) => match text.split_once('.').unwrap_or((text, "")) {
            ("0", fraction) if fraction.len() <= 3 => format!("{fraction:0<3}").parse().unwrap_or(0),
            ("1", _) => 1000,
            _ => 0,
        },
    };
    (weight > 0).then(|| (weight, tag.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages() -> Languages {
        let mut languages = Languages::default();
        languages.add("de", "progress_title = 'Verbinden Sie Ihre Konten'\nback = 'Zurück'").unwrap();
        languages.add("he", "direction = 'rtl'\nback = 'חזרה'").unwrap();
        languages.add("pt-BR", "back = 'Voltar'").unwrap();
        languages
    }

    #[test]
    fn the_language_is_the_readers_first_that_there_is_and_english_otherwise() {
        let languages = languages();
        for (accept, tag) in [
            ("", "en"),
            ("*", "en"),
            ("fr", "en"),
            ("de", "de"),
            ("de-AT,de;q=0.9", "de"),
            ("fr, en;q=0.3, de;q=0.8", "de"),
            ("fr;q=1, he;q=0.9, de;q=0.8", "he"),
            ("DE-ch", "de"),
            ("pt-br", "pt-BR"),
            ("pt", "en"),
            ("de;q=0, he;q=0.1", "he"),
            ("de;q=x", "en"),
            (";;;,,,q=", "en"),
        ] {
            assert_eq!(languages.choose(accept).tag, tag, "{accept}");
        }
        assert_eq!(languages.choose("he").tongue().direction, "rtl");
    }

    #[test]
    fn a_sentence_that_a_language_does_not_have_is_said_in_english() {
        let languages = languages();
        assert_eq!(languages.choose("de").say(Say::Back, &[]), "Zurück");
        assert_eq!(languages.choose("de").say(Say::ConnectionsTitle, &[]), "Your connections");
    }

    #[test]
    fn placeholders_are_filled_once_and_what_is_filled_in_is_not_looked_at_again() {
        let languages = Languages::default();
        let said = languages.choose("").say(Say::Continue, &[("provider", "{app} {")]);
        assert_eq!(said, "Continue to {app} {");
    }

    #[test]
    fn a_file_with_a_sentence_or_placeholder_that_does_not_exist_is_refused_and_says_what_there_is() {
        let refused = |text: &str| Languages::default().add("de", text).unwrap_err();
        assert!(refused("bakc = 'x'").contains("no sentence `bakc`"));
        assert!(refused("back = '{token}'").contains("{token}"));
        assert!(refused("direction = 'up'").contains("ltr"));
        assert!(refused("back = 1").contains("not a table of sentences"));
        assert!(Languages::default().add("../x", "").is_err());
    }

    #[test]
    fn every_sentence_has_its_own_key() {
        let mut keys: Vec<&str> = ENGLISH.iter().map(|(_, key, _)| *key).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert!(!keys.contains(&"direction"));
    }
}
