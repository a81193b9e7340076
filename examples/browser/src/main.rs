//! The same in the terminal: `cargo run [URL]`.

#[cfg(not(target_family = "wasm"))]
#[tokio::main(flavor = "current_thread")]
async fn main() -> sockeye::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| sockeye_browser_example::URL.to_owned());
    sockeye_browser_example::talk(&url, |line| println!("{line}")).await
}

/// In a browser the library is all.
#[cfg(target_family = "wasm")]
fn main() {}
