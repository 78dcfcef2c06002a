//! How pages look: one inline style, light and dark by the reader's choice, for any direction of writing, which the policy names by its
//! hash. Takes a colour of the team's; the text upon it is black or white, whichever is read more easily (WCAG 2.2, section 1.4.3).

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// All but the colours of the team. Only logical properties, so that right to left works by itself.
const RULES: &str = "\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1rem;padding:1.5rem;\
background:var(--ground);color:var(--text);font:1rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
header,main,body>footer{width:100%;max-width:36rem}\
header{display:flex;align-items:center;gap:.75rem;font-weight:600}\
header img{max-height:2.5rem;max-width:10rem}\
main{padding:2rem;background:var(--card);border:1px solid var(--line);border-top:4px solid var(--accent);border-radius:.5rem}\
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}\
h2{margin:0;font-size:1.0625rem;line-height:1.4}\
p{margin:0 0 .75rem;overflow-wrap:anywhere}\
a{color:var(--link)}\
a:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid var(--link);outline-offset:2px}\
ol,ul{margin:0 0 1rem;padding:0;list-style:none}\
ol li{display:flex;justify-content:space-between;gap:1rem;padding:.625rem .75rem;border:1px solid var(--line);border-radius:.375rem;margin-block-end:.5rem}\
ol li[aria-current]{border-inline-start:4px solid var(--accent);font-weight:600}\
ul li{padding-block:1rem;border-block-start:1px solid var(--line)}\
.quiet,footer{color:var(--quiet)}\
.alert,.notice{padding:.625rem .75rem;border:1px solid var(--line);border-inline-start:4px solid var(--bad);border-radius:.375rem}\
.notice{border-inline-start-color:var(--good)}\
.actions{display:flex;flex-wrap:wrap;align-items:center;gap:.75rem 1.25rem;margin:1.25rem 0 0}\
li .actions{margin-block-start:.5rem}\
.button,button{display:inline-block;padding:.5rem 1rem;min-height:2.75rem;border:1px solid var(--edge);border-radius:.375rem;background:var(--accent);\
color:var(--on-accent);font:inherit;font-weight:600;text-decoration:none;cursor:pointer}\
button.second{background:transparent;color:var(--text)}\
form{margin:0}\
label{display:block;margin-block-end:.25rem;font-weight:600}\
input{width:100%;min-height:2.75rem;margin-block-end:1rem;padding:.5rem .75rem;border:1px solid var(--edge);border-radius:.375rem;background:var(--ground);\
color:var(--text);font:inherit}\
footer{margin-top:1.5rem;padding-top:.75rem;border-top:1px solid var(--line);font-size:.875rem}\
body>footer{margin:0;padding:0 .25rem;border:0}\
dl{display:flex;flex-wrap:wrap;gap:.125rem 1.25rem;margin:0}\
dl div{display:flex;gap:.375rem}\
dt{font-weight:600}\
dd{margin:0;overflow-wrap:anywhere}\
code{font-family:ui-monospace,Consolas,monospace;overflow-wrap:anywhere}";

/// The colours of a page without a team's.
const LIGHT_ACCENT: Rgb = Rgb(0x0b, 0x5f, 0xcc);
const DARK_ACCENT: Rgb = Rgb(0x7f, 0xb4, 0xff);

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rgb(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Rgb {
    /// `#rrggbb`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self(red, green, blue))
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Black or white, whichever has more contrast on it: always at least 4.58.
    fn text_on(self) -> &'static str {
        let luminance = self.luminance();
        if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) { "#000" } else { "#fff" }
    }
}

/// The whole style, with a team's colour or without.
pub(crate) fn style(accent: Option<Rgb>) -> String {
    let [light, dark] = [LIGHT_ACCENT, DARK_ACCENT].map(|own| {
        let Rgb(red, green, blue) = accent.unwrap_or(own);
        let text = accent.unwrap_or(own).text_on();
        format!("--accent:#{red:02x}{green:02x}{blue:02x};--on-accent:{text}")
    });
    format!(
        ":root{{color-scheme:light dark;--ground:#f6f7fb;--card:#fff;--text:#24262f;--quiet:#555968;--line:#dfe2ec;--edge:#767b8a;\
         --link:#0b5fcc;--bad:#c4162a;--good:#0f7b3f;{light}}}\
         @media(prefers-color-scheme:dark){{:root{{--ground:#14161d;--card:#1e212b;--text:#eef0f6;--quiet:#a9aec0;--line:#343948;--edge:#8a90a3;\
         --link:#7fb4ff;--bad:#ff8a94;--good:#62d394;{dark}}}}}{RULES}"
    )
}

/// The style without a team's colour.
pub(crate) fn plain() -> &'static str {
    static PLAIN: LazyLock<String> = LazyLock::new(|| style(None));
    PLAIN.as_str()
}

/// What a policy calls a style (CSP level 3, section 2.3.1).
pub(crate) fn hash(style: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_any_colour_has_the_contrast_that_reading_needs() {
        let mut cases = 0;
        for red in (0..=255).step_by(17) {
            for green in (0..=255).step_by(17) {
                for blue in (0..=255).step_by(17) {
                    let colour = Rgb(red, green, blue);
                    let luminance = colour.luminance();
                    let contrast =
                        if colour.text_on() == "#000" { (luminance + 0.05) / 0.05 } else { 1.05 / (luminance + 0.05) };
                    assert!(contrast >= 4.5, "{colour:?}: {contrast}");
                    cases += 1;
                }
            }
        }
        println!("cases: {cases}");
    }

    #[test]
    fn a_colour_is_six_hexadecimal_digits() {
        assert_eq!(Rgb::parse("#0b5fcc"), Some(Rgb(0x0b, 0x5f, 0xcc)));
        for text in ["", "#", "0b5fcc", "#0b5fc", "#0b5fccc", "#+b5fcc", "red", "#gggggg"] {
            assert_eq!(Rgb::parse(text), None, "{text}");
        }
    }
}
