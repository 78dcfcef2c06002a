//! The plain values of gateway.toml: text, whole numbers, flags, durations ("30s") and sizes ("1MiB").

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::de::DeValue;

use crate::config::read::{Node, Read, kind_of, schema};
use crate::config::sheet::{Place, Sheet};

/// "30s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// "1MiB", in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
];
const DURATION_HELP: &str = "a whole number and its unit, as in \"500ms\", \"30s\", \"10m\", \"1h\" or \"30d\"";
const SIZE_HELP: &str = "a whole number and its unit, as in \"512B\", \"32KiB\", \"1MiB\" or \"10MB\"";

/// `number` and `unit` without anything between, times the unit.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let (_, factor) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The text of a node whose value is never a secret: lines may show it.
pub(crate) fn text<'a>(node: &'a Node<'_>, right: &str, sheet: &mut Sheet<'_>) -> Option<&'a str> {
    let place = Place::from(node.span());
    if let Some(text) = node.get_ref().as_str() {
        sheet.show(place);
        return Some(text);
    }
    if !matches!(node.get_ref(), DeValue::Array(_) | DeValue::Table(_)) {
        sheet.show(place);
    }
    sheet.refuse(place, format!("text in quotes is expected here, and this is {}", kind_of(node.get_ref())), right)
}

impl Read for Span {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let written = text(node, DURATION_HELP, sheet)?;
        match amount(written, &DURATION_UNITS) {
            Some(millis) => Some(Self(Duration::from_millis(millis))),
            None => sheet.refuse(node.span().into(), "this is no duration", DURATION_HELP),
        }
    }
}

impl Read for Size {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let written = text(node, SIZE_HELP, sheet)?;
        match amount(written, &SIZE_UNITS).or_else(|| amount(written, &[("GiB", 1 << 30)])) {
            Some(bytes) => Some(Self(bytes)),
            None => sheet.refuse(node.span().into(), "this is no size", SIZE_HELP),
        }
    }
}

impl Read for String {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        text(node, "put it into quotes: \"...\"", sheet).map(str::to_owned)
    }
}

impl Read for bool {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        match node.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => sheet.refuse(
                place,
                format!("true or false is expected here, and this is {}", kind_of(other)),
                "true or false, without quotes",
            ),
        }
    }
}

impl Read for i64 {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        let DeValue::Integer(integer) = node.get_ref() else {
            let kind = kind_of(node.get_ref());
            return sheet.refuse(
                place,
                format!("a whole number is expected here, and this is {kind}"),
                "digits, without quotes",
            );
        };
        sheet.show(place);
        match Self::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(number),
            Err(_) => sheet.refuse(place, "this number is too large", "a number below 9223372036854775808"),
        }
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["30s"] }))
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string", "pattern": "^[0-9]+(B|[kK]B|MB|GB|KiB|MiB|GiB)$", "examples": ["1MiB"] }))
    }
}

/// As `Span` reads it: the largest unit that stays whole.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = DURATION_UNITS.iter().rev().find(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor));
    unit.map_or_else(|| "0s".to_owned(), |(unit, factor)| format!("{}{unit}", millis / factor))
}

/// As `Size` reads it: the largest unit that stays whole.
pub(crate) fn size_text(bytes: u64) -> String {
    let units = [("MiB", 1_u64 << 20), ("KiB", 1 << 10), ("B", 1)];
    let unit = units.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| "0B".to_owned(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_whole_numbers_with_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000), ("0s", 0)]
        {
            assert_eq!(amount(text, &DURATION_UNITS), Some(millis), "{text}");
        }
        for (text, bytes) in [("512B", 512), ("32KiB", 32_768), ("1MiB", 1 << 20), ("10MB", 10_000_000)] {
            assert_eq!(amount(text, &SIZE_UNITS), Some(bytes), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "30 s",
            "-1s",
            "1.5s",
            "30S",
            "1w",
            "99999999999999999999s",
            "18446744073709551615h",
            "1s1s",
        ] {
            assert_eq!(amount(text, &DURATION_UNITS), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written() {
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        assert_eq!(duration_text(Duration::from_mins(10)), "10m");
        assert_eq!(size_text(32 << 10), "32KiB");
        assert_eq!(size_text(1_000_000), "1000000B");
    }
}
