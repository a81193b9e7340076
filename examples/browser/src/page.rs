//! The page: writes down what it is told.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;

use crate::{URL, talk};

/// Runs when the page has loaded. The URL of the server may stand behind a `#` in that of the page.
#[wasm_bindgen(start)]
fn start() {
    let Some(window) = web_sys::window() else { return };
    let wanted = window.location().hash().unwrap_or_default();
    let url = wanted.strip_prefix('#').unwrap_or(URL).to_owned();
    spawn_local(async move {
        if let Err(err) = talk(&url, write).await {
            write(format!("failed: {err}"));
        }
    });
}

fn write(line: String) {
    let body = web_sys::window().and_then(|window| window.document()?.query_selector("pre").ok()?);
    if let Some(body) = body {
        let text = body.text_content().unwrap_or_default();
        body.set_text_content(Some(&format!("{text}{line}\n")));
    }
}
