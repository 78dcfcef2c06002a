//! One page of the flow: a heading, sentences, the steps, forms, what is connected, ways on, and whose it all is. Takes what to say, in the
//! reader's language already; returns HTML in which all of it is escaped. Landmarks, headings, labels and a focus that shows: WCAG 2.2.

use askama::Template;

use crate::pages::brand::{Brand, Forms};

/// What a page says and offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    /// Title and heading.
    pub(crate) title: String,
    /// What went wrong; read aloud at once.
    pub(crate) alert: Option<String>,
    /// What went well.
    pub(crate) notice: Option<String>,
    /// In order.
    pub(crate) paragraphs: Vec<String>,
    /// The way through the providers.
    pub(crate) steps: Vec<Step>,
    /// At most one form with fields.
    pub(crate) form: Option<Form>,
    /// What is connected.
    pub(crate) rows: Vec<Row>,
    /// Ways on; the first is the one that most take.
    pub(crate) links: Vec<Link>,
    /// App, account, user, the request's number.
    pub(crate) facts: Vec<(String, String)>,
    /// What is said before the address for help.
    pub(crate) help: String,
}

/// One provider on the way.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// "1 of 2: monday.com".
    pub(crate) text: String,
    /// "done".
    pub(crate) state: Option<String>,
    /// Whether it is the next one.
    pub(crate) is_current: bool,
}

/// A form of the gateway's own.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// A path.
    pub(crate) action: String,
    /// Names and values that the reader does not see.
    pub(crate) hidden: Vec<(&'static str, String)>,
    /// What the reader fills in.
    pub(crate) fields: Vec<Field>,
    /// What its button says.
    pub(crate) button: String,
    /// Whether it is one of several and not the most likely.
    pub(crate) is_second: bool,
}

/// One field of a form.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: String,
    /// What the reader is asked for.
    pub(crate) label: String,
    /// Whether it is shown as dots.
    pub(crate) is_secret: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The provider.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) state: String,
    /// More about it.
    pub(crate) note: Option<String>,
    /// What can be done with it.
    pub(crate) forms: Vec<Form>,
}

/// A way on.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What it says.
    pub(crate) text: String,
    /// Where it leads.
    pub(crate) href: String,
    /// Whether it looks like a button.
    pub(crate) is_main: bool,
}

/// In which language, and to which side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tongue<'a> {
    /// BCP 47.
    pub(crate) language: &'a str,
    /// `ltr` or `rtl`.
    pub(crate) direction: &'static str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ tongue.language }}" dir="{{ tongue.direction }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ screen.title }}</title>
<style>{{ brand.style|safe }}</style>
</head>
<body>
{% if brand.logo.is_some() || brand.name.is_some() %}<header>
{% if let Some(logo) = brand.logo %}<img src="{{ logo }}" alt="">
{% endif %}{% if let Some(name) = brand.name %}<span>{{ name }}</span>
{% endif %}</header>
{% endif %}<main>
<h1>{{ screen.title }}</h1>
{% if let Some(alert) = screen.alert %}<p class="alert" role="alert">{{ alert }}</p>
{% endif %}{% if let Some(notice) = screen.notice %}<p class="notice" role="status">{{ notice }}</p>
{% endif %}{% for paragraph in screen.paragraphs %}<p>{{ paragraph }}</p>
{% endfor %}{% if !screen.steps.is_empty() %}<ol>
{% for step in screen.steps %}<li{% if step.is_current %} aria-current="step"{% endif %}><span>{{ step.text }}</span>{% if let Some(state) = step.state %} <span class="quiet">{{ state }}</span>{% endif %}</li>
{% endfor %}</ol>
{% endif %}{% if let Some(form) = screen.form %}<form method="post" action="{{ form.action }}">
{% for (name, value) in form.hidden %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}{% for field in form.fields %}<label for="field-{{ field.name }}">{{ field.label }}</label>
<input id="field-{{ field.name }}" name="field-{{ field.name }}" type="{% if field.is_secret %}password{% else %}text{% endif %}" autocomplete="off" autocapitalize="none" spellcheck="false" required>
{% endfor %}<button type="submit">{{ form.button }}</button>
</form>
{% endif %}{% if !screen.rows.is_empty() %}<ul>
{% for row in screen.rows %}<li>
<h2>{{ row.name }}</h2>
<p class="quiet">{{ row.state }}</p>
{% if let Some(note) = row.note %}<p>{{ note }}</p>
{% endif %}{% if !row.forms.is_empty() %}<div class="actions">
{% for form in row.forms %}<form method="post" action="{{ form.action }}">
{% for (name, value) in form.hidden %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button type="submit"{% if form.is_second %} class="second"{% endif %}>{{ form.button }}</button>
</form>
{% endfor %}</div>
{% endif %}</li>
{% endfor %}</ul>
{% endif %}{% if !screen.links.is_empty() %}<p class="actions">
{% for link in screen.links %}<a href="{{ link.href }}"{% if link.is_main %} class="button"{% endif %} rel="noreferrer">{{ link.text }}</a>
{% endfor %}</p>
{% endif %}</main>
<footer>
<dl>
{% for (name, value) in screen.facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
{% if let Some((shown, href)) = brand.support %}<p>{{ screen.help }} <a href="{{ href }}">{{ shown }}</a></p>
{% endif %}</footer>
</body>
</html>
"#
)]
struct Drawn<'a> {
    screen: &'a Screen,
    brand: &'a Brand,
    tongue: Tongue<'a>,
}

impl Screen {
    /// The HTML. Empty if it cannot be written, which writing to memory never is.
    pub(crate) fn html(&self, brand: &Brand, tongue: Tongue<'_>) -> String {
        Drawn { screen: self, brand, tongue }.render().unwrap_or_default()
    }

    /// Whether it has forms, for the page's policy.
    pub(crate) fn forms(&self) -> Forms {
        let has_forms = self.form.is_some() || self.rows.iter().any(|row| !row.forms.is_empty());
        if has_forms { Forms::Own } else { Forms::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert('1')</script>&\"";

    fn form(text: &str) -> Form {
        Form {
            action: text.to_owned(),
            hidden: vec![("form", text.to_owned())],
            fields: vec![Field { name: text.to_owned(), label: text.to_owned(), is_secret: true }],
            button: text.to_owned(),
            is_second: true,
        }
    }

    fn full(text: &str) -> String {
        let own = || text.to_owned();
        let screen = Screen {
            title: own(),
            alert: Some(own()),
            notice: Some(own()),
            paragraphs: vec![own()],
            steps: vec![Step { text: own(), state: Some(own()), is_current: true }],
            form: Some(form(text)),
            rows: vec![Row { name: own(), state: own(), note: Some(own()), forms: vec![form(text)] }],
            links: vec![Link { text: own(), href: own(), is_main: true }],
            facts: vec![(own(), own())],
            help: own(),
        };
        let brand = Brand { name: Some(own()), support: Some((own(), own())), logo: Some(own()), ..Brand::default() };
        screen.html(&brand, Tongue { language: "en", direction: "ltr" })
    }

    #[test]
    fn whatever_a_page_is_told_to_say_is_escaped() {
        let html = full(EVIL);
        assert!(!html.contains("<script") && !html.contains("&\""), "{html}");
        assert!(html.matches("&#60;script").count() >= 25, "{html}");
    }

    #[test]
    fn a_page_loads_nothing_and_runs_nothing() {
        let html = full("word");
        for mark in ["<script", "url(", "@import", "<link", "<iframe", " onclick", " onload", "http-equiv", "style=\""]
        {
            assert!(!html.contains(mark), "{mark}");
        }
    }

    #[test]
    fn every_field_has_a_label_and_every_page_its_landmarks_and_one_heading() {
        let html = full("word");
        assert_eq!(html.matches("<label for=\"field-word\"").count(), html.matches("id=\"field-word\"").count());
        for mark in ["<header>", "<main>", "<footer>", "<html lang=\"en\" dir=\"ltr\">"] {
            assert_eq!(html.matches(mark).count(), 1, "{mark}");
        }
        assert_eq!(html.matches("<h1>").count(), 1);
        assert!(html.contains("role=\"alert\"") && html.contains("aria-current=\"step\""));
    }
}
