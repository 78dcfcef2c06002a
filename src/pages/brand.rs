//! Whose pages these are: a team's name, picture, colour and address for help, made ready once. The picture is put into the page, so that
//! nothing is loaded from elsewhere. Knows no configuration file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::pages::style::{self, Rgb};

/// Bytes of a picture.
const LOGO_BYTES: usize = 32 * 1024;

/// Made ready for pages. The default is nobody's.
#[derive(Clone, Debug)]
pub(crate) struct Brand {
    /// The team's or product's name.
    pub(crate) name: Option<String>,
    /// A `data:` URI.
    pub(crate) logo: Option<String>,
    /// Where help is: what a link says, and where it leads.
    pub(crate) support: Option<(String, String)>,
    /// The style with its colour.
    pub(crate) style: String,
    /// Its hash, for the policy.
    pub(super) hash: String,
}

/// What a team wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// Its name.
    pub(crate) name: Option<String>,
    /// The bytes of its picture.
    pub(crate) logo: Option<Vec<u8>>,
    /// `#rrggbb`.
    pub(crate) color: Option<String>,
    /// Mail address or https URL.
    pub(crate) support: Option<String>,
}

/// Why a page cannot look as wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrandFault {
    /// Too large for a page.
    #[error("the logo has more than 32 KiB, and every page carries it: make it smaller")]
    LogoSize,
    /// No picture that browsers show.
    #[error("the logo is no PNG, JPEG, GIF, WebP or SVG")]
    LogoKind,
    /// No colour.
    #[error("a colour is written as #rrggbb")]
    Color,
    /// Neither an address nor a URL.
    #[error("support is a mail address or an https URL")]
    Support,
}

impl Brand {
    /// Makes the wishes ready.
    pub(crate) fn new(wishes: Wishes) -> Result<Self, BrandFault> {
        let color = wishes.color.map(|text| Rgb::parse(&text).ok_or(BrandFault::Color)).transpose()?;
        let style = style::style(color);
        Ok(Self {
            name: wishes.name,
            logo: wishes.logo.map(|bytes| data_uri(&bytes)).transpose()?,
            support: wishes.support.map(support).transpose()?,
            hash: style::hash(&style),
            style,
        })
    }

    /// The policy of a page: nothing is loaded or run, and forms go nowhere else (CSP level 3).
    pub(crate) fn policy(&self, forms: Forms) -> HeaderValue {
        let image = if self.logo.is_some() { " img-src data:;" } else { "" };
        let action = match forms {
            Forms::None => "'none'",
            Forms::Own => "'self'",
        };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}';{image} base-uri 'none'; form-action {action}; frame-ancestors 'none'",
            self.hash
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
    }
}

impl Default for Brand {
    fn default() -> Self {
        let style = style::plain().to_owned();
        Self { name: None, logo: None, support: None, hash: style::hash(&style), style }
    }
}

/// Whether a page has forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// It has none.
    None,
    /// It has, and they go to the gateway.
    Own,
}

fn data_uri(bytes: &[u8]) -> Result<String, BrandFault> {
    if bytes.len() > LOGO_BYTES {
        return Err(BrandFault::LogoSize);
    }
    let start = bytes.trim_ascii_start();
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ if start.starts_with(b"<svg") || start.starts_with(b"<?xml") => "image/svg+xml",
        _ => return Err(BrandFault::LogoKind),
    };
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

fn support(text: String) -> Result<(String, String), BrandFault> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'));
    if is_plain && text.starts_with("https://") && text.len() > 8 {
        let shown = text.trim_start_matches("https://").trim_end_matches('/').to_owned();
        return Ok((shown, text));
    }
    match text.split_once('@') {
        Some((name, host)) if is_plain && !name.is_empty() && host.contains('.') && !host.contains(['@', '?']) => {
            Ok((text.clone(), format!("mailto:{text}")))
        }
        _ => Err(BrandFault::Support),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_is_refused_with_what_is_wrong_with_it() {
        let with = |wishes: Wishes| Brand::new(wishes).map(|_brand| ()).unwrap_err();
        assert_eq!(with(Wishes { color: Some("red".to_owned()), ..Wishes::default() }), BrandFault::Color);
        assert_eq!(with(Wishes { logo: Some(vec![0; 40_000]), ..Wishes::default() }), BrandFault::LogoSize);
        assert_eq!(with(Wishes { logo: Some(b"MZ".to_vec()), ..Wishes::default() }), BrandFault::LogoKind);
        for text in ["", "help", "http://a.b", "javascript:alert(1)", "a@b", "a@b.c?x=y", "https://a\"b", "a b@c.d"] {
            assert_eq!(with(Wishes { support: Some(text.to_owned()), ..Wishes::default() }), BrandFault::Support);
        }
    }

    #[test]
    fn pictures_are_allowed_as_data_only_where_there_is_one_and_forms_only_to_the_gateway() {
        let plain = Brand::default();
        let logo = Some(b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec());
        let with = Brand::new(Wishes { logo, ..Wishes::default() }).unwrap();
        let policy = |brand: &Brand, forms| brand.policy(forms).to_str().unwrap().to_owned();
        assert!(
            !policy(&plain, Forms::None).contains("img-src") && policy(&with, Forms::None).contains("img-src data:;")
        );
        assert!(policy(&plain, Forms::None).contains("form-action 'none'"));
        assert!(policy(&plain, Forms::Own).contains("form-action 'self'"));
        assert!(policy(&with, Forms::Own).contains("frame-ancestors 'none'"));
    }
}
