//! Bodies of requests as monday sends them, one a kind, for `send` and the demo.
//! monday's pages: "Actions", "Triggers", "List fields", "Webhooks", "App lifecycle webhooks".

use serde_json::{Value, json};

use crate::monday::kinds::Kind;

/// A body of this kind; none where monday, or a browser, sends a GET.
pub(crate) fn body(kind: Kind, account_id: i64, user_id: i64) -> Option<Value> {
    match kind {
        Kind::Action => Some(action()),
        Kind::Subscribe => Some(json!({ "payload": {
            "webhookUrl": "https://api-gw.monday.com/automations/apps-events/481709001",
            "subscriptionId": 481_709_001,
            "blockMetadata": { "shouldCalculateDynamicMapping": false },
            "inputFields": {}, "inboundFieldValues": {}, "credentialsValues": {},
            "recipeId": 629_280, "integrationId": 398_528_596,
        } })),
        Kind::Unsubscribe => Some(json!({ "payload": { "webhookId": 481_709_001 } })),
        Kind::RemoteOptions | Kind::FieldDefinitions => Some(json!({ "payload": {
            "boardId": 12_345_678, "automationId": 398_885_964, "recipeId": 30_441_053, "integrationId": 398_885_964,
            "dependencyData": { "boardId": 12_345_678 },
        } })),
        Kind::Credentials => Some(json!({ "payload": { "credentialsId": "bcd2345" } })),
        Kind::BoardWebhook => Some(json!({ "event": {
            "app": "monday", "type": "update_column_value", "triggerTime": "2026-01-01T00:00:00.000Z",
            "userId": user_id, "boardId": 12_345_678, "pulseId": 87_654_321, "pulseName": "An item",
            "columnId": "status", "columnType": "color", "value": null, "previousValue": null,
            "subscriptionId": 73_760_484, "triggerUuid": "bd661564c1d1968d5e56c67051cf7511",
        } })),
        Kind::AppLifecycle => Some(json!({ "type": "install", "data": {
            "app_id": 1_000_000_000, "app_name": "Test App", "user_id": user_id, "user_email": "user@example.com",
            "user_name": "User 1", "account_id": account_id, "account_name": "Demo Account", "account_slug": "test",
            "version_data": { "major": 4, "minor": 5, "patch": 0, "type": "minor", "number": 16 },
            "timestamp": "2026-01-01T00:00:00.000+00:00", "subscription": null,
        } })),
        Kind::FeatureLifecycle => Some(json!({ "type": "AppFeatureObject:create", "data": {
            "payload": { "object_id": 5_094_669_045_i64 }, "back_to_url": "https://api-gw.monday.com/callbacks/1",
            "app_id": 1_000_000_000, "user_id": user_id, "account_id": account_id,
            "timestamp": "2026-01-01T00:00:00.000Z",
        } })),
        Kind::View | Kind::Authorization | Kind::Jwt | Kind::Public => None,
    }
}

fn action() -> Value {
    let fields = json!({ "boardId": 1_234_567_890, "itemId": 9_876_543_210_i64, "columnId": "text" });
    json!({
        "payload": {
            "blockKind": "action",
            "credentialsValues": {},
            "inboundFieldValues": fields,
            "inputFields": fields,
            "recipeId": 629_280,
            "integrationId": 398_528_596,
        },
        "runtimeMetadata": {
            "actionUuid": "3b0a86dcb5a1d05e8aff1e4791cafde5",
            "triggerUuid": "bd661564c1d1968d5e56c67051cf7511",
        },
    })
}
