//! The program for the terminal: `cargo run [URL]`.

#[cfg(not(target_family = "wasm"))]
mod support;

#[cfg(not(target_family = "wasm"))]
const USAGE: &str = "\
Usage: sockeye-browser-example [URL]

Sends messages to an echo server and prints the answers, as the page in a browser does.

URL  the server [ws://127.0.0.1:3012]";

#[cfg(not(target_family = "wasm"))]
#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let url = arguments.url(sockeye_browser_example::URL)?;
    arguments.end()?;

    let mut interrupted = support::interrupted();
    tokio::select! {
        result = sockeye_browser_example::talk(url.as_str(), |line| println!("{line}")) => result?,
        // The socket is dropped, which closes the connection with 1001 (going away).
        _ = interrupted.changed() => {}
    }
    Ok(())
}

/// In a browser, the program is the library.
#[cfg(target_family = "wasm")]
fn main() {}
