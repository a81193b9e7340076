//! Public items have an example, or a link to one.

use std::error::Error;
use std::fs;
use std::path::Path;

/// The files whose public items are checked.
const FILES: [&str; 48] = [
    "src/adapters/axum.rs",
    "src/adapters/h2.rs",
    "src/adapters/hyper.rs",
    "src/adapters/hyper_stream.rs",
    "src/adapters/rouille.rs",
    "src/adapters/taken_stream.rs",
    "src/adapters/tiny_http.rs",
    "src/blocking/reconnecting.rs",
    "src/blocking/reconnecting_sender.rs",
    "src/close.rs",
    "src/error.rs",
    "src/futures/reconnecting.rs",
    "src/futures/reconnecting_sender.rs",
    "src/lib.rs",
    "src/message.rs",
    "src/protocol/config.rs",
    "src/protocol/error.rs",
    "src/protocol/extension.rs",
    "src/protocol/framing/frame.rs",
    "src/protocol/framing/header.rs",
    "src/protocol/framing/mask.rs",
    "src/protocol/handshake/client_upgrade.rs",
    "src/protocol/handshake/extensions.rs",
    "src/protocol/handshake/http/body.rs",
    "src/protocol/handshake/http/request_target.rs",
    "src/protocol/handshake/http/response_encoder.rs",
    "src/protocol/handshake/origin.rs",
    "src/protocol/handshake/rejected.rs",
    "src/protocol/handshake/request.rs",
    "src/protocol/handshake/response.rs",
    "src/protocol/role.rs",
    "src/reactor/api/deflate_handler.rs",
    "src/reactor/api/factory.rs",
    "src/reactor/api/handler.rs",
    "src/reactor/api/handshake.rs",
    "src/reactor/api/sender.rs",
    "src/reactor/api/settings.rs",
    "src/reactor/api/util.rs",
    "src/reactor/websocket.rs",
    "src/socket/answer.rs",
    "src/socket/error.rs",
    "src/socket/reconnection.rs",
    "src/tcp_stream.rs",
    "src/tls/client.rs",
    "src/tls/server.rs",
    "src/upgrade/client.rs",
    "src/upgrade/convert.rs",
    "src/upgrade/mod.rs",
];

/// Returns the public items of a source file whose documentation contains no example, and does not mention one.
fn without_example(source: &str) -> Vec<&str> {
    let mut without = Vec::new();
    let mut docs = String::new();
    let (mut is_trait, mut is_macro) = (false, false);
    for line in source.lines() {
        is_macro = line.starts_with("macro_rules!") || is_macro && line != "}";
        if is_macro {
            continue;
        }
        let text = line.trim_start();
        if let Some(doc) = text.strip_prefix("///") {
            docs += doc;
            continue;
        }
        if text.starts_with("#[") {
            continue;
        }
        if !line.starts_with(' ') && !text.is_empty() && text != "}" {
            is_trait = text.starts_with("pub trait ");
        }
        let item = text.strip_prefix("pub ").or_else(|| {
            let is_method = is_trait && line.starts_with("    fn ");
            is_method.then_some(text)
        });
        let item = item.filter(|item| {
            ["fn ", "struct ", "enum ", "trait ", "type "].iter().any(|kind| item.starts_with(kind))
        });
        if let Some(item) = item
            && !docs.contains("```")
            && !docs.contains("See the example")
            && !docs.contains("See the [example")
        {
            without.push(item.split(['(', '<', '{']).next().unwrap_or(item).trim());
        }
        docs.clear();
    }
    without
}

#[test]
fn every_public_item_has_an_example() -> Result<(), Box<dyn Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut missing = Vec::new();
    for file in FILES {
        let source = fs::read_to_string(root.join(file)).map_err(|err| format!("{file}: {err}"))?;
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        missing.extend(without_example(source).into_iter().map(|item| format!("{file}: {item}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

#[test]
fn items_without_examples_are_found() {
    let source = "/// A.\npub struct A;\n/// ```\n/// b();\n/// ```\npub fn b() {}\npub(crate) fn c() {}\n\
                  pub trait T {\n    /// See the example of [`b`].\n    fn d(&self);\n    #[cfg(x)]\n    fn e<F>();\n}\nimpl T for A {\n    fn d(&self) {}\n}";
    assert_eq!(without_example(source), ["struct A;", "trait T", "fn e"]);
}
