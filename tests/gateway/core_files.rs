//! A gateway that crashes leaves no core file, in which all its keys and tokens would be, whatever limits it was started with.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::support::certificates::Authority;
use crate::support::gateway::{NAMES, Printed, binary, signal};
use crate::support::scene::Scene;
use crate::support::{SOON, within_blocking};

/// Starts a program in a folder, and lets it leave core files of any size.
fn unlimited(program: &Path, arguments: &[&str], folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""])
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Crashes it. Returns how it ended, and every file that might be its core.
fn crashed(mut child: Child, how: &str, folder: &Path) -> (ExitStatus, Vec<PathBuf>) {
    // Twice, where the first is taken for a fault that will come again.
    let status = within_blocking(SOON, "it ends", || {
        signal(child.id(), how);
        child.try_wait().unwrap()
    });
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    (status, files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("core")).collect())
}

#[test]
fn a_gateway_that_crashes_leaves_no_core_file() {
    let scene = Scene::usual();
    let mut cases = 0;
    for (how, number) in [("SEGV", 11), ("ABRT", 6), ("QUIT", 3), ("BUS", 7)] {
        let folder = tempfile::tempdir().unwrap();
        Authority::new().leaf(&NAMES).write(folder.path(), "server");
        std::fs::write(folder.path().join("gateway.toml"), scene.setup().toml()).unwrap();
        let mut child =
            unlimited(Path::new(binary().get_program()), &["run", "--config", "gateway.toml"], folder.path());
        let log = Printed::gather(child.stderr.take().unwrap());
        within_blocking(SOON, "the gateway listens", || log.text().contains("\"public\"").then_some(()));
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let core: Vec<&str> =
            limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"], "{core:?}");
        let (status, files) = crashed(child, how, folder.path());
        assert_eq!((status.signal(), status.core_dumped(), files), (Some(number), false, Vec::new()), "{how}");
        cases += 1;
    }
    // What the same machine does with a program that does not mind.
    let folder = tempfile::tempdir().unwrap();
    let child = unlimited(Path::new("/bin/sleep"), &["60"], folder.path());
    within_blocking(Duration::from_secs(5), "it runs", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
        (name.trim() == "sleep").then_some(())
    });
    let (status, files) = crashed(child, "SEGV", folder.path());
    println!(
        "cases: {cases} crashes, no core file; another program's leaves {} (dumped: {})",
        files.len(),
        status.core_dumped()
    );
}
