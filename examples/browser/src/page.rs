//! The program in the page.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;

use crate::{URL, talk};

/// Runs when the page has loaded. The fragment of the page's URL can contain the URL of the server.
#[wasm_bindgen(start)]
fn start() {
    let Some(window) = web_sys::window() else { return };
    let fragment = window.location().hash().unwrap_or_default();
    let url = fragment.strip_prefix('#').unwrap_or(URL).to_owned();
    spawn_local(async move {
        if let Err(err) = talk(&url, append_line).await {
            append_line(format!("failed: {err}"));
        }
    });
}

/// Appends a line to the page.
fn append_line(line: String) {
    let element = web_sys::window().and_then(|window| window.document()?.query_selector("pre").ok()?);
    if let Some(element) = element {
        let text = element.text_content().unwrap_or_default();
        element.set_text_content(Some(&format!("{text}{line}\n")));
    }
}
