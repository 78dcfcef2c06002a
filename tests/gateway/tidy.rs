//! Keeps the source tree as ARCHITECTURE.md describes it: layers point one way, files stay small
//! and say what they are about. Needs nothing but std; the rules are the constants below.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules, highest first. A module may name only modules of a later line.
const LAYERS: &[&[&str]] = &[
    &["commands"],
    &["gateway"],
    &["pipeline"],
    &["authorize"],
    &["grants"],
    &["snapshot"],
    &["issuers"],
    &["config"],
    &["oauth", "upstream", "vault"],
    &["monday", "tls"],
    &["headers", "jwt", "pages", "seal"],
    &["deadline", "json"],
    &["clock", "limits", "secret", "telemetry"],
];
/// Lines of a file up to its `#[cfg(test)] mod`.
const FILE_LINES_MAX: usize = 600;
/// Lines of a file with its tests.
const FILE_LINES_WITH_TESTS_MAX: usize = 1000;
/// Values that only the step of that file can make: no other module may reach their fields.
const PROOFS: &[(&str, &str)] = &[
    ("pipeline/guard/parsed.rs", "Clean"),
    ("pipeline/guard/parsed.rs", "WebSocket"),
    ("pipeline/route.rs", "Routed"),
    ("pipeline/verify/mod.rs", "Caller"),
    ("pipeline/admit.rs", "Admitted"),
];
/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "common",
    "constants",
    "core",
    "error",
    "errors",
    "globals",
    "helper",
    "helpers",
    "manager",
    "misc",
    "prelude",
    "types",
    "util",
    "utils",
];

#[test]
fn source_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&root) {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        faults.extend(file_faults(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn proofs_keep_their_fields_to_themselves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, name) in PROOFS {
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(proof_faults(&text, name), None::<String>, "{path}");
    }
}

/// What lets others make a proof.
fn proof_faults(text: &str, name: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("struct {name}"))?;
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    let rest = rest.trim_start_matches(|c: char| c != '{' && c != '(');
    let fields = rest.split(if rest.starts_with('{') { "\n}" } else { ";" }).next().unwrap_or_default();
    [
        (fields.contains("pub"), "has a field that others can set"),
        (attributes.contains("Default"), "has a default"),
        (text.contains(&format!("Default for {name}")), "has a default"),
    ]
    .into_iter()
    .find(|(found, _)| *found)
    .map(|(_, what)| format!("{name} {what}"))
}

#[test]
fn a_proof_with_a_field_that_others_can_set_is_a_fault() {
    let told = |text| proof_faults(text, "Proof");
    assert_eq!(told("#[derive(Debug)]\npub struct Proof<B> {\n    of: B,\n}\n\npub struct Other(pub u8);\n"), None);
    assert!(told("pub struct Proof<B> {\n    pub(crate) of: B,\n}\n").is_some());
    assert!(told("pub struct Proof(pub(crate) u8);\n").is_some());
    assert!(told("#[derive(Default)]\npub struct Proof(u8);\n").is_some());
}

/// Everything wrong with one file, as `path:line: what`.
fn file_faults(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let code = lines.iter().position(|l| l.starts_with("#[cfg(test)]")).unwrap_or(lines.len());
    let mut faults = Vec::new();

    let stem = Path::new(path).file_stem().unwrap().to_string_lossy();
    if EMPTY_NAMES.contains(&stem.as_ref()) {
        faults.push(format!("{path}:1: a name that says nothing"));
    }
    if !lines.first().is_some_and(|l| l.starts_with("//! ")) {
        faults.push(format!("{path}:1: does not open by saying what it is about"));
    }
    if code > FILE_LINES_MAX || lines.len() > FILE_LINES_WITH_TESTS_MAX {
        faults.push(format!("{path}:{code}: {code} lines, {} with tests", lines.len()));
    }

    let own = path.split(['/', '.']).next().unwrap();
    let Some(own_layer) = layer(own) else {
        if !matches!(own, "main" | "lib" | "internals") {
            faults.push(format!("{path}:1: top-level module `{own}` has no layer"));
        }
        return faults;
    };
    for (number, line) in lines[..code].iter().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        for named in crate_paths(line) {
            if named != own && layer(&named).is_none_or(|l| l <= own_layer) {
                faults.push(format!("{path}:{}: `{own}` must not know `{named}`", number + 1));
            }
        }
        if line.contains("super::super") {
            faults.push(format!("{path}:{}: write `crate::`, so that the layer shows", number + 1));
        }
    }
    faults
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// The first segment after each `crate::` in a line. Braces directly after it are a fault of
/// style that this cannot follow, and are reported as the module `{`.
fn crate_paths(line: &str) -> BTreeSet<String> {
    line.split("crate::")
        .skip(1)
        .map(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() { "{".into() } else { name }
        })
        .collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_lower_layer_naming_a_higher_one_is_a_fault() {
    let faults = file_faults("jwt.rs", "//! x\nuse crate::pipeline::verify::Verified;\n");
    assert_eq!(faults, ["jwt.rs:2: `jwt` must not know `pipeline`"]);
}

#[test]
fn a_higher_layer_naming_a_lower_one_is_fine() {
    assert!(file_faults("pipeline/verify.rs", "//! x\nuse crate::jwt::Key;\n").is_empty());
}
