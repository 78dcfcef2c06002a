//! What is wrong in gateway.toml, for the person who wrote it: `file:line:column`, the line underlined, why, and what would be
//! right. Lines arrive here already masked (`mask`); nothing in this file has seen a secret.

use std::fmt::{self, Write as _};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::config::sheet::Place;

/// Mistakes shown in full; beyond them only their number is. A binary file given by accident must not fill a terminal.
const SHOWN_MAX: usize = 100;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The file is refused.
    Mistake,
    /// The file works, and probably not as meant.
    Warning,
}

/// As recorded while reading: places are offsets yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad.
    pub(crate) severity: Severity,
    /// Where.
    pub(crate) place: Place,
    /// What is wrong and why.
    pub(crate) what: String,
    /// What would be right.
    pub(crate) right: String,
    /// A second place that belongs to it, and what it is.
    pub(crate) other: Option<(Place, String)>,
    /// The dotted key; filled in at the end.
    pub(crate) key: String,
}

/// One line of the file with a part of it underlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The line, masked.
    pub(crate) text: String,
    /// The underlined bytes of `text`.
    pub(crate) underlined: std::ops::Range<usize>,
}

/// One mistake or warning. Quotes no value that can be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// How bad.
    pub(crate) severity: Severity,
    /// The file's name as it was given.
    pub(crate) file: String,
    /// Dotted, as in `apps.planner.signing_secret`; empty for the file as a whole.
    pub(crate) key: String,
    /// Where.
    pub(crate) at: Excerpt,
    /// What is wrong and why.
    pub(crate) what: String,
    /// What would be right.
    pub(crate) right: String,
    /// A second place and what it is.
    pub(crate) other: Option<(Excerpt, String)>,
}

/// All mistakes of a file, in its order, and the warnings beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Finding {
    /// One without a second place.
    pub(crate) const fn new(severity: Severity, place: Place, what: String, right: String) -> Self {
        Self { severity, place, what, right, other: None, key: String::new() }
    }
}

impl Mistake {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "severity": match self.severity { Severity::Mistake => "mistake", Severity::Warning => "warning" },
            "file": self.file, "line": self.at.line, "column": self.at.column,
            "key": self.key, "message": self.what, "help": self.right,
        })
    }

    /// As people read it; with colours for a terminal.
    pub(crate) fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Mistake => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut groups = vec![
            level
                .primary_title(self.what.as_str())
                .element(self.snippet(&self.at).annotation(AnnotationKind::Primary.span(self.at.underlined.clone()))),
        ];
        if let Some((other, what)) = &self.other {
            let annotation = AnnotationKind::Primary.span(other.underlined.clone());
            groups.push(Level::NOTE.secondary_title(what.as_str()).element(self.snippet(other).annotation(annotation)));
        }
        if !self.right.is_empty() {
            groups.push(Group::with_title(Level::HELP.secondary_title(self.right.as_str())));
        }
        renderer.render(&groups)
    }

    fn snippet<'a>(&'a self, excerpt: &'a Excerpt) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        Snippet::source(excerpt.text.as_str()).line_start(excerpt.line).path(self.file.as_str())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl Mistakes {
    /// All of them, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// As people read them, with their number and that of so many mistakes beside them, which were shown before.
    pub(crate) fn told(&self, beside: usize) -> String {
        let mut text = String::new();
        for mistake in self.0.iter().take(SHOWN_MAX) {
            let _written = writeln!(text, "{mistake}\n");
        }
        let mistakes = self.0.iter().filter(|mistake| mistake.severity == Severity::Mistake).count();
        let hidden = self.0.len().saturating_sub(SHOWN_MAX);
        if hidden > 0 {
            let _written = write!(text, "{hidden} more are not shown; ");
        }
        text + &in_all(mistakes + beside)
    }
}

/// The last line.
pub(crate) fn in_all(mistakes: usize) -> String {
    format!("{mistakes} {} in all\n", if mistakes == 1 { "mistake" } else { "mistakes" })
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(0))
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_shows_its_place_its_line_underlined_and_what_would_be_right() {
        let text = "sining_secret = ****".to_owned();
        let mistake = Mistake {
            severity: Severity::Mistake,
            file: "gateway.toml".to_owned(),
            key: "apps.planner.sining_secret".to_owned(),
            at: Excerpt { line: 12, column: 1, text, underlined: 0..13 },
            what: "`sining_secret` is no key that is known here".to_owned(),
            right: "did you mean `signing_secret`?".to_owned(),
            other: None,
        };
        let shown = "\
error: `sining_secret` is no key that is known here
  --> gateway.toml:12:1
   |
12 | sining_secret = ****
   | ^^^^^^^^^^^^^
   |
help: did you mean `signing_secret`?";
        assert_eq!(mistake.to_string(), shown);
    }
}
