//! As much of HTML as a test needs: forms with their fields and buttons, links, and what a reader sees.

/// One form of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) method: String,
    pub(crate) action: String,
    /// Names and values of its inputs, buttons excluded.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) buttons: Vec<Button>,
}

/// One button.
#[derive(Clone, Debug, Default)]
pub(crate) struct Button {
    pub(crate) text: String,
    pub(crate) name: Option<String>,
    pub(crate) value: String,
    pub(crate) action: Option<String>,
}

/// One tag: its name (`/form` for an end) and its attributes.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn value(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }
}

enum Piece {
    Tag(Tag),
    Text(String),
}

/// All forms.
pub(crate) fn forms(page: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut open: Option<Form> = None;
    let mut button: Option<Button> = None;
    for piece in pieces(page) {
        match piece {
            Piece::Text(text) => {
                if let Some(button) = &mut button {
                    button.text.push_str(text.trim());
                }
            }
            Piece::Tag(tag) => match (tag.name.as_str(), &mut open) {
                ("form", _) => {
                    let method = tag.get("method").unwrap_or("get").to_ascii_lowercase();
                    open = Some(Form { method, action: tag.value("action"), ..Form::default() });
                }
                ("/form", Some(_)) => forms.extend(open.take()),
                ("input" | "textarea" | "select", Some(form)) => {
                    if let Some(name) = tag.get("name") {
                        form.fields.push((name.to_owned(), tag.value("value")));
                    }
                }
                ("button", Some(_)) => {
                    let name = tag.get("name").map(str::to_owned);
                    let action = tag.get("formaction").map(str::to_owned);
                    button = Some(Button { text: String::new(), name, value: tag.value("value"), action });
                }
                ("/button", Some(form)) => form.buttons.extend(button.take()),
                _ => (),
            },
        }
    }
    forms
}

/// Address and text of all links.
pub(crate) fn links(page: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut open: Option<(String, String)> = None;
    for piece in pieces(page) {
        match piece {
            Piece::Text(text) => {
                if let Some((_, words)) = &mut open {
                    words.push_str(text.trim());
                }
            }
            Piece::Tag(tag) if tag.name == "a" => open = Some((tag.value("href"), String::new())),
            Piece::Tag(tag) if tag.name == "/a" => links.extend(open.take()),
            Piece::Tag(_) => (),
        }
    }
    links
}

/// What a reader sees, its white space made single.
pub(crate) fn words(page: &str) -> String {
    let mut words = String::new();
    let mut hidden = false;
    for piece in pieces(page) {
        match piece {
            Piece::Tag(tag) => {
                if matches!(tag.name.as_str(), "style" | "script") {
                    hidden = true;
                } else if matches!(tag.name.as_str(), "/style" | "/script") {
                    hidden = false;
                }
                words.push(' ');
            }
            Piece::Text(text) if !hidden => words.push_str(&text),
            Piece::Text(_) => (),
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// For a text or an attribute in double quotes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = name.strip_prefix("#x").map_or_else(
            || name.strip_prefix('#').and_then(|digits| digits.parse().ok()),
            |digits| u32::from_str_radix(digits, 16).ok(),
        );
        match (name, number.and_then(char::from_u32)) {
            (_, Some(c)) => out.push(c),
            ("amp", _) => out.push('&'),
            ("lt", _) => out.push('<'),
            ("gt", _) => out.push('>'),
            ("quot", _) => out.push('"'),
            ("nbsp", _) => out.push(' '),
            _ => {
                out.push('&');
                rest = after;
                continue;
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = page;
    while let Some((text, after)) = rest.split_once('<') {
        if !text.is_empty() {
            pieces.push(Piece::Text(unescape(text)));
        }
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, tail)| tail);
            continue;
        }
        let (tag, tail) = tag(after);
        pieces.push(Piece::Tag(tag));
        rest = tail;
    }
    pieces.push(Piece::Text(unescape(rest)));
    pieces
}

/// A tag from behind its `<`, and what follows its `>`.
fn tag(text: &str) -> (Tag, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut tag = Tag { name: name.trim_end_matches('/').to_ascii_lowercase(), attributes: Vec::new() };
    if name.starts_with('/') {
        tag.name = name.to_ascii_lowercase();
    }
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(tail) = rest.strip_prefix('>') {
            return (tag, tail);
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end.max(1));
        let (value, tail) = attribute_value(tail);
        tag.attributes.push((name.to_ascii_lowercase(), unescape(value)));
        rest = tail;
    }
}

fn attribute_value(text: &str) -> (&str, &str) {
    let Some(rest) = text.trim_start().strip_prefix('=') else { return ("", text) };
    let rest = rest.trim_start();
    for quote in ['"', '\''] {
        if let Some(rest) = rest.strip_prefix(quote) {
            return rest.split_once(quote).unwrap_or((rest, ""));
        }
    }
    rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len()))
}
