//! As much of HTML as a walk through pages needs: the title, links, and forms. Takes pages as templates write them, with quoted attributes.

/// A form, and one of its buttons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it goes.
    pub(super) action: String,
    /// What it says: its inputs, and the button.
    pub(super) fields: Vec<(String, String)>,
}

/// The title.
pub(super) fn title(page: &str) -> String {
    between(page, "<title>", "</title>").map(decoded).unwrap_or_default()
}

/// The address of the link with these words.
pub(super) fn link(page: &str, words: &str) -> Option<String> {
    elements(page, "a").find(|element| text(element.inside) == words)?.attribute("href")
}

/// The form that has a button of these words.
pub(super) fn form(page: &str, words: &str) -> Option<Form> {
    elements(page, "form").find_map(|form| {
        let button = elements(form.inside, "button").find(|button| text(button.inside) == words)?;
        let inputs = form.inside.split("<input ").skip(1);
        let inputs = inputs.filter_map(|rest| Element { tag: rest.split('>').next()?, inside: "" }.pair());
        Some(Form { action: form.attribute("action")?, fields: inputs.chain(button.pair()).collect() })
    })
}

/// The items of the list that shows how far one has come.
pub(super) fn items(page: &str) -> Vec<String> {
    between(page, "<ol>", "</ol>")
        .map_or_else(Vec::new, |list| elements(list, "li").map(|item| text(item.inside)).collect())
}

/// An element that holds none of its own kind.
struct Element<'a> {
    tag: &'a str,
    inside: &'a str,
}

impl Element<'_> {
    fn attribute(&self, name: &str) -> Option<String> {
        let tag = format!(" {}", self.tag);
        between(&tag, &format!(" {name}=\""), "\"").map(decoded)
    }

    fn pair(&self) -> Option<(String, String)> {
        Some((self.attribute("name")?, self.attribute("value").unwrap_or_default()))
    }
}

fn elements<'a>(html: &'a str, name: &str) -> impl Iterator<Item = Element<'a>> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let parts: Vec<&str> = html.split(open.as_str()).skip(1).collect();
    parts.into_iter().filter_map(move |rest| {
        let (tag, rest) = rest.split_once('>')?;
        let is_it = tag.is_empty() || tag.starts_with(' ');
        is_it.then_some(Element { tag: tag.trim(), inside: rest.split(close.as_str()).next()? })
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}

/// What a reader sees of it.
fn text(html: &str) -> String {
    let mut words = String::new();
    for part in html.split('<') {
        words.push_str(part.split_once('>').map_or(part, |(_tag, text)| text));
    }
    decoded(words.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
}

fn decoded(text: &str) -> String {
    let signs = [
        ("&lt;", "<"),
        ("&#60;", "<"),
        ("&gt;", ">"),
        ("&#62;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
    ];
    let text = signs.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign));
    text.replace("&#38;", "&").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<title>A &#38; B</title><ol>\n<li aria-current=\"step\"><span>1 of 2: x</span></li>\n<li><span>2 of 2: y</span> \
        <span>done</span></li></ol><a href=\"/x?a=1&#38;b=2\" class=\"button\">Go on</a><abbr>Go</abbr>\
        <form method=\"post\" action=\"/y\"><input type=\"hidden\" name=\"f\" value=\"&#60;1\"><button name=\"d\" value=\"no\">No</button>\
        <button type=\"submit\" name=\"d\" value=\"yes\">Yes</button></form>";

    #[test]
    fn a_page_is_read_as_a_person_reads_it() {
        assert_eq!(title(PAGE), "A & B");
        assert_eq!(link(PAGE, "Go on").as_deref(), Some("/x?a=1&b=2"));
        assert_eq!(link(PAGE, "Go"), None);
        assert_eq!(items(PAGE), ["1 of 2: x", "2 of 2: y done"]);
        let pairs = vec![("f".to_owned(), "<1".to_owned()), ("d".to_owned(), "yes".to_owned())];
        assert_eq!(form(PAGE, "Yes"), Some(Form { action: "/y".to_owned(), fields: pairs }));
        assert_eq!(form(PAGE, "Maybe"), None);
    }
}
