//! Has the program talk to the echo server of `tests/wasm/run`, in the browser and in the terminal.

use sockeye_browser_example::talk;

/// The ports of the peer, of which the first is the echo server's.
const PORTS: Option<&str> = option_env!("SOCKEYE_WASM_PEER");

async fn talks() {
    let Some(port) = PORTS.and_then(|ports| ports.split(' ').next()) else { return };
    let url = format!("ws://127.0.0.1:{port}/");
    let mut told = Vec::new();
    talk(&url, |line| told.push(line)).await.expect("the conversation is held");
    let all = ["received salmon 1", "received salmon 2", "received salmon 3"];
    assert_eq!(told.get(1..4), Some(&all.map(String::from)[..]));
    assert_eq!(told.last().map(String::as_str), Some("closed with 1000"));
}

#[cfg(target_family = "wasm")]
#[wasm_bindgen_test::wasm_bindgen_test]
async fn the_same_program_talks() {
    talks().await;
}

#[cfg(not(target_family = "wasm"))]
#[tokio::test]
async fn the_same_program_talks() {
    talks().await;
}
