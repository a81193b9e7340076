//! The front ends use the same name for the same operation.
//!
//! The public methods of the sockets and of their builders are read from the sources. A method that one front end lacks must
//! be in the table of differences, with a reason; an entry of the table that no longer applies fails as well.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

const FRONT_ENDS: [&str; 3] = ["blocking", "futures", "browser"];

const NATIVE: &[&str] = &["blocking", "futures"];

/// The types, and the front ends that should have all methods of them.
const KINDS: [(&str, &[&str]); 6] = [
    ("WebSocket", &FRONT_ENDS),
    ("Builder", &FRONT_ENDS),
    ("Client", NATIVE),
    ("Server", NATIVE),
    ("Reconnecting", NATIVE),
    ("ReconnectingSender", NATIVE),
];

/// Methods that not all front ends have: the type, the method, the front ends that have it, and the reason.
const DIFFERENCES: &[(&str, &str, &[&str], &str)] = &[
    ("WebSocket", "try_clone", &["blocking"], "the async sockets split into halves"),
    ("WebSocket", "split", &["futures", "browser"], "a blocking socket has handles"),
    ("WebSocket", "join", &["futures", "browser"], "a blocking socket has handles"),
    ("WebSocket", "messages", &["blocking"], "the async sockets are a `Stream`"),
    ("WebSocket", "try_receive", &["blocking"], "an async program polls once, or uses `select!`"),
    ("WebSocket", "set_read_timeout", &["blocking"], "an async program uses the timeout of its runtime"),
    ("WebSocket", "read_timeout", &["blocking"], "an async program uses the timeout of its runtime"),
    ("Builder", "read_timeout", &["blocking"], "an async program uses the timeout of its runtime"),
    (
        "WebSocket",
        "get_ref",
        &["blocking"],
        "the halves share the stream, so it can only be lent to a function",
    ),
    (
        "WebSocket",
        "with_stream",
        &["futures"],
        "the halves share the stream, so it can only be lent to a function",
    ),
    ("Builder", "connect_with", NATIVE, "the browser does not show why an attempt has failed"),
    ("Reconnecting", "set_read_timeout", &["blocking"], "an async program uses the timeout of its runtime"),
    ("ReconnectingSender", "try_send", &["futures"], "a blocking `send` does not wait for its turn"),
    ("Builder", "timer", &["futures"], "the other two have one"),
    ("Builder", "max_buffered", &["futures", "browser"], "a blocking `send` waits"),
    ("WebSocket", "accept", NATIVE, "a browser has no servers"),
    ("WebSocket", "upgraded", NATIVE, "a browser has no servers"),
    ("WebSocket", "after_handshake", NATIVE, "the browser performs the handshake"),
    ("WebSocket", "into_inner", NATIVE, "the browser has the stream"),
    ("WebSocket", "receive_frame", NATIVE, "the browser shows no frames"),
    ("WebSocket", "send_frame", NATIVE, "the browser sends no frames"),
    ("WebSocket", "send_shared", NATIVE, "the browser copies each message"),
    ("WebSocket", "queue_shared", NATIVE, "the browser copies each message"),
    ("WebSocket", "set_reply_mode", NATIVE, "the browser answers Pings and the Close"),
    ("Builder", "accept", NATIVE, "a browser has no servers"),
    ("Builder", "server", NATIVE, "a browser has no servers"),
    ("Builder", "server_tls", NATIVE, "a browser has no servers"),
    ("Builder", "upgraded", NATIVE, "a browser has no servers"),
    ("Builder", "after_handshake", NATIVE, "the browser performs the handshake"),
    ("Builder", "client", NATIVE, "the browser has the stream"),
    ("Builder", "proxy", NATIVE, "the browser has a proxy of its own"),
    ("Builder", "max_redirects", NATIVE, "the browser follows no redirects"),
    ("Builder", "cross_origin_redirects", NATIVE, "the browser follows no redirects"),
    ("Builder", "url_credentials", NATIVE, "the browser decides about them"),
    ("WebSocket", "url", &["browser"], "the others have the request"),
    ("WebSocket", "extensions", &["browser"], "the others have the response"),
    ("WebSocket", "interface", &["browser"], "only browsers have two interfaces"),
    ("Builder", "interface", &["browser"], "only browsers have two interfaces"),
    ("Builder", "max_received", &["browser"], "the others slow down the peer"),
    ("Builder", "max_received_messages", &["browser"], "the others slow down the peer"),
];

/// Methods whose parameters differ, and the reason.
const SIGNATURES: &[(&str, &str, &str)] =
    &[("Reconnecting", "new", "an async client waits with the timer of its runtime")];

/// The parameters of each method, by the name of its type and its own.
type Methods = BTreeMap<(String, String), String>;

/// The public methods of the types in a source: of its `impl` blocks, and of the setters that a macro adds to a builder.
fn methods(source: &str) -> Methods {
    let (mut found, mut current) = (Methods::new(), None);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("impl") && line.ends_with('{') && !line.contains(" for ") {
            let name = line.trim_start_matches("impl").trim_start_matches("<S: Stream>");
            let name = name.trim_start_matches("<S: Transport>").trim();
            current = Some(name.split(['<', ' ']).next().unwrap_or_default().to_owned());
        } else if line.contains("impl $builder {") {
            current = Some("Builder".to_owned());
        } else if line.starts_with('}') {
            current = None;
        }
        let declaration = line.trim_start();
        let declaration = declaration.strip_prefix("pub async fn ").or(declaration.strip_prefix("pub fn "));
        let (Some(kind), Some(declaration)) = (&current, declaration) else { continue };
        let name: String = declaration.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let mut text = declaration.to_owned();
        while !text.contains('{') {
            let Some(next) = lines.next() else { break };
            text.push_str(next.trim());
            text.push(' ');
        }
        found.insert((kind.clone(), name), parameters(&text));
    }
    found
}

/// The names of the parameters of a declaration, without `self`.
fn parameters(declaration: &str) -> String {
    let start = declaration.find('(').map_or(0, |at| at + 1);
    let mut depth = 0;
    let mut names = vec![String::new()];
    for c in declaration[start..].replace("->", "").chars() {
        match c {
            '(' | '<' | '[' => depth += 1,
            ')' if depth == 0 => break,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ => {}
        }
        if let Some(name) = names.last_mut().filter(|_| c != ',' || depth > 0) {
            name.push(c);
        }
    }
    let names = names.iter().map(|name| name.split(':').next().unwrap_or_default().trim());
    let names = names.filter(|name| !name.is_empty() && !name.ends_with("self"));
    names.map(|name| name.trim_start_matches("mut ")).collect::<Vec<_>>().join(", ")
}

/// The public methods of the types of a front end.
fn front_end(name: &str) -> Result<Methods, Box<dyn Error>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut found = Methods::new();
    for entry in fs::read_dir(sources.join(name))? {
        found.extend(methods(&fs::read_to_string(entry?.path())?));
    }
    if name != "browser" {
        found.extend(methods(&fs::read_to_string(sources.join("socket/options.rs"))?));
    }
    found.retain(|(kind, _), _| KINDS.iter().any(|(other, _)| other == kind));
    Ok(found)
}

#[test]
fn every_difference_between_the_front_ends_is_explained() -> Result<(), Box<dyn Error>> {
    let mut owners: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    let mut signatures: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for name in FRONT_ENDS {
        for (method, parameters) in front_end(name)? {
            owners.entry(method.clone()).or_default().insert(name);
            signatures.entry(method).or_default().insert(parameters);
        }
    }
    assert!(owners.len() > 40, "the sources are read: {owners:?}");
    let explained: BTreeMap<(String, String), BTreeSet<&str>> = DIFFERENCES
        .iter()
        .map(|(kind, name, owners, _)| {
            ((kind.to_string(), name.to_string()), owners.iter().copied().collect())
        })
        .collect();
    let mut wrong = Vec::new();
    for (method, owners) in &owners {
        let should = KINDS.iter().find(|(kind, _)| *kind == method.0).map_or(0, |(_, should)| should.len());
        if owners.len() < should && explained.get(method) != Some(owners) {
            wrong.push(format!("{}::{} is only in {owners:?}", method.0, method.1));
        }
    }
    for (method, listed) in &explained {
        if owners.get(method) != Some(listed) {
            wrong.push(format!("{}::{} is listed for {listed:?}, and is not there", method.0, method.1));
        }
    }
    for (method, parameters) in signatures.iter().filter(|(_, parameters)| parameters.len() > 1) {
        if !SIGNATURES.iter().any(|(kind, name, _)| (*kind, *name) == (&*method.0, &*method.1)) {
            wrong.push(format!("{}::{} has different parameters: {parameters:?}", method.0, method.1));
        }
    }
    for (kind, name, _) in SIGNATURES {
        let parameters = signatures.get(&(kind.to_string(), name.to_string()));
        if parameters.is_none_or(|parameters| parameters.len() < 2) {
            wrong.push(format!("the parameters of {kind}::{name} no longer differ"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn public_methods_are_extracted_from_a_source() {
    let source = "impl<S: Stream> WebSocket<S> {\n    pub fn new(\n        stream: S,\n        mut at: (u8, u8),\n    ) -> Self {\n    }\n    fn private(&self) {}\n    pub(super) fn inner(&self) {}\n}\nimpl Clone for Builder {\n    pub fn no(&self) {}\n}\nimpl Builder {\n    pub async fn one(&self, f: impl Fn(&S) -> T, b: &str) -> T {\n}\n";
    let found: Vec<_> = methods(source).into_iter().collect();
    let entry = |kind: &str, name: &str, parameters: &str| {
        ((kind.to_owned(), name.to_owned()), parameters.to_owned())
    };
    assert_eq!(found, [entry("Builder", "one", "f, b"), entry("WebSocket", "new", "stream, at")]);
}
