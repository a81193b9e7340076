//! Runs the program against the echo server of `tests/wasm/run`, in the browser and natively.

use sockeye_browser_example::talk;

/// The ports of the peer. The first is that of the echo server.
const PORTS: Option<&str> = option_env!("SOCKEYE_WASM_PEER");

async fn check() {
    let Some(port) = PORTS.and_then(|ports| ports.split(' ').next()) else { return };
    let url = format!("ws://127.0.0.1:{port}/");
    let mut lines = Vec::new();
    talk(&url, |line| lines.push(line)).await.expect("no error");
    let all = ["received salmon 1", "received salmon 2", "received salmon 3"];
    assert_eq!(lines.get(1..4), Some(&all.map(String::from)[..]));
    assert_eq!(lines.last().map(String::as_str), Some("closed: 1000"));
}

#[cfg(target_family = "wasm")]
#[wasm_bindgen_test::wasm_bindgen_test]
async fn the_program_exchanges_messages() {
    check().await;
}

#[cfg(not(target_family = "wasm"))]
#[tokio::test]
async fn the_program_exchanges_messages() {
    check().await;
}

/// `--help` prints the usage. A bad URL and a refused connection are one line on stderr.
#[cfg(not(target_family = "wasm"))]
#[test]
fn the_native_program_checks_its_arguments() {
    use std::process::Command;

    let program = env!("CARGO_BIN_EXE_sockeye-browser-example");
    let help = Command::new(program).arg("--help").output().expect("runs");
    assert!(help.status.success() && help.stdout.starts_with(b"Usage: "), "{help:?}");
    for (bad, expected) in
        [("nonsense", "nonsense"), ("--frobnicate", "--frobnicate"), ("ws://127.0.0.1:1", "refused")]
    {
        let output = Command::new(program).arg(bad).output().expect("runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}
