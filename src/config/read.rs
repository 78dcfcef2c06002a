//! From the span tree of gateway.toml to the `written` types: a field is a value, absent, or a recorded mistake, so that reading
//! never stops at the first. `table!` makes a type, its reader and its JSON Schema from one list of keys: they cannot differ.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::mask::quotable;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::suggest::suggest;

/// A node of the span tree.
pub(crate) type Node<'a> = Spanned<DeValue<'a>>;

/// Something that can stand right of a key.
pub(crate) trait Read: Sized + JsonSchema {
    /// The value, or `None` after recording why it is none.
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self>;
}

/// What became of a key.
#[derive(Clone, Debug)]
pub(crate) enum Field<T> {
    /// Not written, and without a default.
    Absent,
    /// Written wrongly or missing though required; the mistake is recorded.
    Wrong,
    /// Written, or the default.
    Given(At<T>),
}

/// What holds if a key is not written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unwritten {
    /// It is absent.
    Absent,
    /// It is a mistake.
    Required,
    /// This is meant, in TOML (and as well JSON).
    Default(&'static str),
    /// A table of defaults is meant.
    Empty,
}

/// A key of a later version, and what to say about it.
pub(crate) type Later = (&'static str, &'static str);

/// `x` or `[x, y]`.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<At<T>>);

/// `[x, y]`.
#[derive(Clone, Debug)]
pub(crate) struct Many<T>(pub(crate) Vec<At<T>>);

/// A table whose keys are names that users choose.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, Field<T>)>);

/// Reads one table key by key.
pub(crate) struct TableReader<'a, 'i> {
    table: &'a DeTable<'i>,
    place: Place,
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub(crate) const fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Whether the key is not there.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// For optional keys: `None` if it was wrong, `Some(None)` if it is absent.
    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    pub(crate) const fn optional(&self) -> Option<Option<&At<T>>> {
        match self {
            Self::Given(at) => Some(Some(at)),
            Self::Absent => Some(None),
            Self::Wrong => None,
        }
    }
}

impl Unwritten {
    fn node(self, place: Place) -> Option<Node<'static>> {
        let value = match self {
            Self::Absent | Self::Required => return None,
            Self::Default(text) => DeValue::parse(text).ok()?.into_inner(),
            Self::Empty => DeValue::Table(DeTable::new()),
        };
        Some(Spanned::new(place.start..place.end, value))
    }

    /// As the schema's `default`.
    fn to_json(self) -> Option<Value> {
        match self {
            Self::Absent | Self::Required | Self::Empty => None,
            Self::Default(text) => serde_json::from_str(text).ok(),
        }
    }
}

impl<'a, 'i> TableReader<'a, 'i> {
    /// Opens `node`, which must be a table.
    pub(crate) fn open(node: &'a Node<'i>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        match node.get_ref() {
            DeValue::Table(table) => Some(Self { table, place }),
            other => sheet.refuse(
                place,
                format!("a table is expected here, and this is {}", kind_of(other)),
                "write it with its keys, as in { key = ... }",
            ),
        }
    }

    /// Reads one key.
    pub(crate) fn field<T: Read>(&self, key: &str, unwritten: Unwritten, sheet: &mut Sheet<'_>) -> Field<T> {
        if let Some(node) = self.table.get(key) {
            let place = Place::from(node.span());
            let read = sheet.below(key, place, |sheet| T::read(node, sheet));
            return read.map_or(Field::Wrong, |is| Field::Given(At::new(is, place)));
        }
        if matches!(unwritten, Unwritten::Required) {
            let _: Option<()> =
                sheet.absent(self.place, format!("`{key}` is missing here"), format!("add `{key} = ...`"));
            return Field::Wrong;
        }
        match unwritten.node(self.place) {
            None => Field::Absent,
            Some(node) => match T::read(&node, sheet) {
                Some(is) => Field::Given(At::new(is, self.place)),
                None => Field::Wrong,
            },
        }
    }

    /// Records every key that is not in `known`: those of later versions with their reason.
    pub(crate) fn refuse_others(&self, known: &[&str], later: &[Later], sheet: &mut Sheet<'_>) {
        for (key, _) in in_order(self.table) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = Place::from(key.span());
            let what = match later.iter().find(|(later, _)| *later == name) {
                Some((_, reason)) => {
                    (format!("`{name}` is not supported by this version: {reason}"), "remove it".to_owned())
                }
                None => (format!("`{}` is no key that is known here", quotable(name)), suggest(name, known)),
            };
            let _: Option<()> = sheet.below(name, place, |sheet| sheet.refuse(place, what.0, what.1));
        }
    }
}

/// A table's entries as the file has them; the map sorts by name.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<Cow<'i, str>>, &'a Node<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What a value is, for "... and this is a number".
pub(crate) const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<T: Read> Read for Many<T> {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        match node.get_ref() {
            DeValue::Array(items) => read_items(items.iter(), sheet).map(Self),
            other => sheet.refuse(
                place,
                format!("a list is expected here, and this is {}", kind_of(other)),
                "put it into brackets: [ ... ]",
            ),
        }
    }
}

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        match node.get_ref() {
            DeValue::Array(items) if items.is_empty() => sheet.refuse(place, "the list is empty", "name at least one"),
            DeValue::Array(items) => read_items(items.iter(), sheet).map(Self),
            _ => T::read(node, sheet).map(|is| Self(vec![At::new(is, place)])),
        }
    }
}

/// Reads all, so that all mistakes are found; a list with one is no value.
fn read_items<'a, 'i: 'a, T: Read>(
    items: impl Iterator<Item = &'a Node<'i>>,
    sheet: &mut Sheet<'_>,
) -> Option<Vec<At<T>>> {
    let read: Vec<Option<At<T>>> = items
        .enumerate()
        .map(|(index, item)| {
            let place = Place::from(item.span());
            sheet.below(&index.to_string(), place, |sheet| T::read(item, sheet)).map(|is| At::new(is, place))
        })
        .collect();
    read.into_iter().collect()
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let reader = TableReader::open(node, sheet)?;
        let mut named = Vec::new();
        for (key, below) in in_order(reader.table) {
            let (name, place) = (key.get_ref().as_ref(), Place::from(below.span()));
            let read = sheet.below(name, place, |sheet| T::read(below, sheet));
            let field = read.map_or(Field::Wrong, |is| Field::Given(At::new(is, place)));
            named.push((At::new(name.to_owned(), key.span().into()), field));
        }
        Some(Self(named))
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ManyOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "array", "items": generator.subschema_for::<T>() }))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schema(json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] }))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() }))
    }
}

/// A schema from its JSON.
pub(crate) fn schema(json: Value) -> Schema {
    Schema::try_from(json).unwrap_or_default()
}

/// One property of a table's schema. Draft 7 ignores what stands beside `$ref`: the reference goes into `allOf`.
pub(crate) fn property<T: JsonSchema>(generator: &mut SchemaGenerator, about: &str, unwritten: Unwritten) -> Value {
    let inner = generator.subschema_for::<T>().to_value();
    let mut property = match inner {
        Value::Object(inner) if !inner.contains_key("$ref") => inner,
        inner => Map::from_iter([("allOf".to_owned(), json!([inner]))]),
    };
    property.insert("description".to_owned(), json!(about));
    if let Some(default) = unwritten.to_json() {
        property.insert("default".to_owned(), default);
    }
    Value::Object(property)
}

/// A table's schema.
pub(crate) fn table_schema(about: &str, properties: &Map<String, Value>, required: &[&str]) -> Schema {
    let mut json =
        json!({ "type": "object", "description": about, "additionalProperties": false, "properties": properties });
    if let (false, Some(object)) = (required.is_empty(), json.as_object_mut()) {
        object.insert("required".to_owned(), json!(required));
    }
    schema(json)
}

/// The lines of a doc comment as one text.
pub(crate) fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A field's name as a key: `type` is a word of Rust.
pub(crate) const fn key_of(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Makes a type for one table, with its reader and its schema. After a key's type, `= required`, `= table` (defaults of its own)
/// or `= literal` (the default); keys of later versions and why they are refused come last.
macro_rules! table {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $kind:ty $(= $unwritten:tt)?, )*
        }
        later { $( $later:literal: $reason:literal, )* }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])+ pub $field: $crate::config::read::Field<$kind>, )*
        }

        impl $name {
            /// Every key.
            pub(crate) const KEYS: &'static [&'static str] = &[$($crate::config::read::key_of(stringify!($field))),*];
            /// Keys of later versions, and why they are refused.
            pub(crate) const LATER: &'static [$crate::config::read::Later] = &[$(($later, $reason)),*];
        }

        impl $crate::config::read::Read for $name {
            fn read(node: &$crate::config::read::Node<'_>, sheet: &mut $crate::config::sheet::Sheet<'_>) -> Option<Self> {
                let reader = $crate::config::read::TableReader::open(node, sheet)?;
                reader.refuse_others(Self::KEYS, Self::LATER, sheet);
                Some(Self {
                    $( $field: reader.field($crate::config::read::key_of(stringify!($field)), $crate::config::read::unwritten!($($unwritten)?), sheet), )*
                })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                let mut required = Vec::new();
                $(
                    let unwritten = $crate::config::read::unwritten!($($unwritten)?);
                    let about = $crate::config::read::prose(&[$($doc),+]);
                    let property = $crate::config::read::property::<$kind>(generator, &about, unwritten);
                    let key = $crate::config::read::key_of(stringify!($field));
                    properties.insert(key.to_owned(), property);
                    if matches!(unwritten, $crate::config::read::Unwritten::Required) {
                        required.push(key);
                    }
                )*
                $crate::config::read::table_schema(&$crate::config::read::prose(&[$($about),+]), &properties, &required)
            }
        }
    };
}

/// The `Unwritten` that `table!` names in short.
macro_rules! unwritten {
    () => {
        $crate::config::read::Unwritten::Absent
    };
    (required) => {
        $crate::config::read::Unwritten::Required
    };
    (table) => {
        $crate::config::read::Unwritten::Empty
    };
    ($default:tt) => {
        $crate::config::read::Unwritten::Default(stringify!($default))
    };
}

/// Makes an enum readable by the words that mean its variants.
macro_rules! choice {
    ($name:ty: $( $word:literal => $variant:path, )+ ; later { $( $later:literal: $reason:literal, )* }) => {
        impl $crate::config::read::Read for $name {
            fn read(node: &$crate::config::read::Node<'_>, sheet: &mut $crate::config::sheet::Sheet<'_>) -> Option<Self> {
                let words: &[(&str, Self)] = &[$(($word, $variant)),+];
                $crate::config::read::choose(node, words, &[$(($later, $reason)),*], sheet)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::read::schema(serde_json::json!({ "type": "string", "enum": [$($word),+] }))
            }
        }
    };
}

/// Reads a word of a closed set.
pub(crate) fn choose<T: Copy>(
    node: &Node<'_>,
    words: &[(&str, T)],
    later: &[Later],
    sheet: &mut Sheet<'_>,
) -> Option<T> {
    let place = Place::from(node.span());
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let Some(word) = node.get_ref().as_str() else {
        let kind = kind_of(node.get_ref());
        return sheet.refuse(place, format!("a word is expected here, and this is {kind}"), suggest("", &known));
    };
    sheet.show(place);
    if let Some((_, chosen)) = words.iter().find(|(known, _)| *known == word) {
        return Some(*chosen);
    }
    if let Some((_, reason)) = later.iter().find(|(later, _)| *later == word) {
        return sheet.refuse(
            place,
            format!("`{word}` is not supported by this version: {reason}"),
            suggest("", &known),
        );
    }
    // In a file with syntax errors, a list that was never closed takes in the lines after it, and a secret among them.
    let shown = if sheet.is_broken() { "this".to_owned() } else { format!("`{}`", quotable(word)) };
    sheet.refuse(place, format!("{shown} is none of the words that are known here"), suggest(word, &known))
}

pub(crate) use {choice, table, unwritten};
