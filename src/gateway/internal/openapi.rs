//! The OpenAPI 3.1 document of the internal API, made of the table of operations and of the types that are answered. Served, and committed as
//! `examples/internal-api.json`.

use http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::gateway::internal::answers::{AppToken, GrantPage, GrantToken, PROBLEMS, Problem, ProblemBody};
use crate::gateway::internal::operations::{Ask, OPERATIONS, Operation};
use crate::limits;

/// The document.
pub(super) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = SchemaGenerator::new(settings);
    let mut paths: Map<String, Value> = Map::new();
    for operation in &OPERATIONS {
        let described = describe(operation, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.as_str().to_ascii_lowercase(), described);
        }
    }
    let definitions = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "monday-gateway: internal API",
            "version": "1",
            "description": "For backends that work in the background. Ask only over loopback, a Unix socket, or with a client certificate.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A key of [internal.clients] in gateway.toml." },
            },
        },
    })
}

fn describe(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    let (status, answered) = match operation.ask {
        Ask::Read => (StatusCode::OK, content::<GrantToken>("The token.", "application/json", schemas)),
        Ask::Revoke => (StatusCode::NO_CONTENT, json!({ "description": "It was taken back." })),
        Ask::List => (StatusCode::OK, content::<GrantPage>("A page of grants.", "application/json", schemas)),
        Ask::Sign => (StatusCode::OK, content::<AppToken>("The token.", "application/json", schemas)),
    };
    responses.insert(status.as_str().to_owned(), answered);
    for problem in PROBLEMS.into_iter().filter(|problem| may_be(operation.ask, *problem)) {
        let told = content::<ProblemBody>(problem.words().0, "application/problem+json", schemas);
        responses.entry(problem.status().as_str()).or_insert(told);
    }
    json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": responses,
    })
}

/// Whether an operation can end in this problem.
fn may_be(ask: Ask, problem: Problem) -> bool {
    match problem {
        Problem::GrantExpired | Problem::GrantRevoked => ask == Ask::Read,
        Problem::CannotSign => ask == Ask::Sign,
        Problem::Unavailable => ask != Ask::Sign,
        _ => true,
    }
}

fn content<T: JsonSchema>(description: &str, media: &str, schemas: &mut SchemaGenerator) -> Value {
    json!({ "description": description, "content": { media: { "schema": schemas.subschema_for::<T>() } } })
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let names = operation.path.split(['{', '}']).skip(1).step_by(2);
    let mut all: Vec<Value> = names.map(|name| path_parameter(operation.ask, name)).collect();
    if operation.ask == Ask::List {
        let (usual, most) = limits::INTERNAL_PAGE;
        all.push(json!({
            "name": "after", "in": "query", "required": false,
            "description": "`next` of the page before.",
            "schema": { "type": "string", "pattern": "^(-|[0-9]{1,19})/[A-Za-z0-9._-]{1,64}$" },
        }));
        all.push(json!({
            "name": "limit", "in": "query", "required": false,
            "description": "Grants on a page. A page may have fewer: grants that this client may not know of are left out.",
            "schema": { "type": "integer", "minimum": 1, "maximum": most, "default": usual },
        }));
    }
    all
}

fn path_parameter(ask: Ask, name: &str) -> Value {
    let id = || json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX });
    let (schema, description) = match name {
        "app" => (json!({ "type": "string", "minLength": 1 }), "The app's name in gateway.toml."),
        "account" => (id(), "monday's account id."),
        "user" if ask == Ask::Revoke => (
            json!({ "type": "string", "pattern": "^(-|0|[1-9][0-9]{0,17})$" }),
            "monday's user id, or `-` for the account's own grant.",
        ),
        "user" => (id(), "monday's user id."),
        _ => (json!({ "type": "string", "minLength": 1 }), "The provider's name in gateway.toml."),
    };
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1 cargo test` writes it anew.
    #[test]
    fn the_committed_description_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/internal-api.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "run `UPDATE_SCHEMA=1 cargo test openapi`");
    }

    #[test]
    fn every_reference_has_its_schema() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let references: Vec<_> =
            text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(references.len() > 20, "{references:?}");
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
        }
    }
}
