//! The admin listener: apart from the public one, and of few words.

use crate::support::backend::Backend;
use crate::support::gateway::{Gateway, binary};
use crate::support::setup::Setup;

#[tokio::test]
async fn health_and_metrics_are_on_the_admin_listener_only() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    becomes_ready(&gateway).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(gateway.ask_admin(path).await.status, 200, "{path}");
        assert_eq!(gateway.request("GET", path, "", "").await.status, 404, "{path}");
    }
    let metrics = gateway.ask_admin("/metrics").await;
    assert!(metrics.field("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(gateway.ask_admin("/planner/public/x").await.status, 404);
    assert_eq!(gateway.ask_admin("/").await.status, 404);
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_backend_that_is_down_takes_no_gateway_out() {
    let gateway = Gateway::start(&Setup::standard("http://127.0.0.1:1"));
    gateway.request("GET", "/planner/public/x", "", "").await;
    becomes_ready(&gateway).await;
}

async fn becomes_ready(gateway: &Gateway) {
    let deadline = std::time::Instant::now() + crate::support::SOON;
    loop {
        let answer = gateway.ask_admin("/readyz").await;
        if answer.status == 200 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{}", answer.text());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_health_command_says_the_same_by_its_exit_code() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let text = std::fs::read_to_string(gateway.folder.path().join("gateway.toml")).unwrap();
    let text = text.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{}\"", gateway.admin));
    let file = gateway.folder.path().join("health.toml");
    std::fs::write(&file, text).unwrap();
    let run = async || {
        let mut command = binary();
        command.arg("health").arg("--config").arg(&file);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    becomes_ready(&gateway).await;
    let healthy = run().await;
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    gateway.signal("KILL");
    let deadline = std::time::Instant::now() + crate::support::SOON;
    while run().await.status.success() {
        assert!(std::time::Instant::now() < deadline);
    }
}
