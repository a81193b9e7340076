//! Which part of the crate may know which other one, read off the sources.
//!
//! `message close error` <- `protocol` <- what programs use <- front ends <- adapters, and front ends never see each other. The
//! protocol core names no socket, thread, runtime or clock. A feature adds items, and never forks a function. `sizes` counts the
//! methods of types.

mod sizes;
mod source;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use source::Token;

/// The modules of each layer; each may use those of its own and of the ones before. A new module must be put into one.
const LAYERS: [&[&str]; 5] = [
    &["message", "close", "error", "tcp_stream", "byte_queue"],
    &["protocol"],
    &["cluster", "compat", "connecting", "socket", "systemd", "tls"],
    FRONT_ENDS,
    &["adapters"],
];

/// The modules of this layer may not even use each other.
const FRONT_ENDS: &[&str] = &["reactor", "blocking", "futures", "browser", "upgrade"];

/// The modules that only unit tests and fuzz targets use. They are not part of the library.
const TEST_SUPPORT: [&str; 2] = ["fuzzing", "random_inputs"];

/// The only files of the protocol core with state that belongs to the thread: caches that affect speed and memory, and never
/// results. The documentation of `protocol` describes them.
const THREAD_LOCAL_IN_PROTOCOL: [&str; 2] =
    ["src/protocol/buffer_pool.rs", "src/protocol/deflate/thread_local.rs"];

/// What the protocol core may not name, as the beginning of a path.
const FORBIDDEN_IN_PROTOCOL: [&str; 22] = [
    "std::io",
    "std::net",
    "std::thread",
    "std::fs",
    "std::os",
    "std::env",
    "std::process",
    "std::sync::mpsc",
    "std::time::SystemTime",
    "std::time::Instant::now",
    "SystemTime",
    "Instant::now",
    "mio",
    "slab",
    "log",
    "openssl",
    "rustls",
    "socket2",
    "libc",
    "tokio",
    "futures",
    "async_std",
];

/// A file under `src`, its tokens without those of its tests.
struct Source {
    /// From the root of the package, with slashes.
    path: String,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), tokens: source::without_tests(&source::tokens(text)) }
    }

    /// The path of the module, `["protocol", "frame"]` for `src/protocol/frame.rs`; empty for the root of the crate.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|name| !matches!(*name, "lib" | "mod")).collect()
    }

    fn is_test(&self) -> bool {
        self.module()
            .iter()
            .any(|name| TEST_SUPPORT.contains(name) || *name == "tests" || name.ends_with("_tests"))
    }

    /// What the paths that lead into this crate begin with, behind its root.
    fn crate_paths(&self) -> Vec<(usize, Vec<String>)> {
        let module = self.module();
        let resolved = source::paths(&self.tokens).into_iter().filter_map(|(line, path)| {
            let supers = path.iter().take_while(|word| *word == "super").count();
            match path.first()?.as_str() {
                "crate" => Some((line, path[1..].to_vec())),
                "super" => {
                    let parent = &module[..module.len().saturating_sub(supers)];
                    let rest = path[supers..].iter().cloned();
                    Some((line, parent.iter().map(ToString::to_string).chain(rest).collect()))
                }
                _ => None,
            }
        });
        resolved.filter(|(_, path)| !path.is_empty()).collect()
    }
}

/// Which module each name comes from that the root of the crate exports.
fn exports(sources: &[Source]) -> HashMap<String, String> {
    let Some(root) = sources.iter().find(|source| source.module().is_empty()) else { return HashMap::new() };
    let layered = |path: &Vec<String>| path.len() > 1 && layer(&path[0]).is_some();
    let paths = source::paths(&root.tokens).into_iter().map(|(_, path)| path);
    paths.filter(layered).map(|path| (path[path.len() - 1].clone(), path[0].clone())).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every rule that the sources break, with file and line.
fn violations(sources: &[Source]) -> Vec<String> {
    let exports = exports(sources);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let mut report = |line, text: String| found.push(format!("{}:{line}: {text}", source.path));
        for line in source::features_in_functions(&source.tokens) {
            report(line, "a feature inside a function: it may only stand on whole items".to_owned());
        }
        if source.path.starts_with("src/bin/") {
            // A program uses the public interface only, which the compiler ensures.
            continue;
        }
        let Some(own) = source.module().first().copied() else { continue };
        if layer(own).is_none() {
            report(1, format!("`{own}` belongs to no layer: put it into one in tests/repository/layering"));
        }
        for (line, path) in source.crate_paths() {
            let other = exports.get(&path[0]).unwrap_or(&path[0]);
            if other != own && !may_use(own, other) {
                report(line, format!("`{own}` may not use `{other}`"));
            }
        }
        if own == "protocol" {
            let mut named: Vec<_> = source::paths(&source.tokens)
                .into_iter()
                .filter_map(|(line, path)| Some((line, forbidden(&path)?)))
                .collect();
            named.dedup();
            for (line, name) in named {
                report(line, format!("the protocol core may not name `{name}`"));
            }
            if !THREAD_LOCAL_IN_PROTOCOL.contains(&source.path.as_str()) {
                let is_macro = |two: &&[source::Token]| two[0].text == "thread_local" && two[1].text == "!";
                for two in source.tokens.windows(2).filter(is_macro) {
                    report(
                        two[0].line,
                        "the protocol core may have no further state of the thread".to_owned(),
                    );
                }
            }
        }
    }
    found
}

fn may_use(own: &str, other: &str) -> bool {
    match (layer(own), layer(other)) {
        (Some(_), Some(_)) if FRONT_ENDS.contains(&own) && FRONT_ENDS.contains(&other) => false,
        (Some(own), Some(other)) => other <= own,
        // What is of no layer is either reported already, or an item of the root, which is above all.
        _ => false,
    }
}

fn forbidden(path: &[String]) -> Option<&'static str> {
    let whole = path.join("::");
    FORBIDDEN_IN_PROTOCOL.into_iter().find(|name| {
        let begins = whole.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        // The name of a crate alone may be that of a variable.
        begins && (path.len() > 1 || *name == "SystemTime")
    })
}

/// All sources of the crate.
fn sources() -> Result<Vec<Source>, Box<dyn Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let (mut folders, mut sources) = (vec![root.join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                sources.push(Source::new(&name, &fs::read_to_string(&path)?));
            }
        }
    }
    Ok(sources)
}

#[test]
fn the_sources_respect_their_layers() -> Result<(), Box<dyn Error>> {
    let sources = sources()?;
    assert!(
        sources.iter().any(|source| source.path == "src/protocol/framing/frame.rs"),
        "the sources are read"
    );
    let violations = violations(&sources);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    Ok(())
}

#[test]
fn no_type_has_too_many_methods_or_flags() -> Result<(), Box<dyn Error>> {
    let found = sizes::violations(&sources()?);
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// The violations in one file, beside a root with exports like ours.
fn findings_in(path: &str, text: &str) -> Vec<String> {
    let root = "mod reactor; pub use reactor::api::sender::Sender; pub use protocol::{Frame, OpCode}; pub fn listen() {}";
    violations(&[Source::new("src/lib.rs", root), Source::new(path, text)])
}

#[test]
fn a_forbidden_name_in_the_protocol_core_is_reported() {
    let planted = [
        "use std::io;",
        "use std::{fmt, io::Read};",
        "use std::{fmt, net::{IpAddr, TcpStream}};",
        "fn f() { std::thread::sleep(d) }",
        "fn f() -> Instant { Instant::now() }",
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::time::{Duration, SystemTime};",
        "use mio::Token;",
        "use openssl;",
        "fn f() { log::warn!(\"x\") }",
        "struct S<'a>(&'a openssl::ssl::Ssl);",
    ];
    for text in planted {
        let found = findings_in("src/protocol/frame.rs", &format!("//! Head.\n\n{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("src/protocol/frame.rs:3: the protocol core"), "{found:?}");
    }
}

#[test]
fn thread_local_state_in_the_protocol_core_is_reported() {
    let state = "thread_local! { static CACHE: Cell<u8> = const { Cell::new(0) }; }";
    for path in THREAD_LOCAL_IN_PROTOCOL {
        assert_eq!(findings_in(path, state), [] as [String; 0]);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(root.join(path).exists(), "{path} exists");
    }
    for path in ["src/protocol/framing/mask.rs", "src/protocol/deflate/cache.rs"] {
        for text in [state, "fn f() { std::thread_local! { static X: Cell<u8> = Cell::new(0) } }"] {
            let found = findings_in(path, &format!("\n{text}\n"));
            assert_eq!(found.len(), 1, "{path} {text}: {found:?}");
            assert!(found[0].starts_with(&format!("{path}:2: the protocol core")), "{found:?}");
        }
    }
}

#[test]
fn a_forbidden_import_in_any_layer_is_reported() {
    let planted = [
        ("src/protocol/frame.rs", "use crate::reactor::WebSocket;"),
        ("src/protocol/connection/mod.rs", "use super::super::socket::options::Options;"),
        ("src/protocol/mod.rs", "use crate::Sender;"),
        ("src/protocol/mod.rs", "fn f() { crate::listen() }"),
        ("src/message.rs", "use crate::{close::CloseCode, protocol::Role};"),
        ("src/message.rs", "use crate::Frame;"),
        ("src/close.rs", "use super::protocol;"),
        ("src/socket/session.rs", "impl From<crate::reactor::Order> for Command {}"),
        ("src/blocking.rs", "use crate::reactor::timers;"),
        ("src/reactor/mod.rs", "use crate::futures::WebSocket;"),
    ];
    for (path, text) in planted {
        let found = findings_in(path, &format!("\n{text}\n"));
        assert_eq!(found.len(), 1, "{path} {text}: {found:?}");
        assert!(
            found[0].starts_with(&format!("{path}:2: ")) && found[0].contains("may not use"),
            "{found:?}"
        );
    }
    assert!(findings_in("src/novelty.rs", "")[0].contains("belongs to no layer"));
}

#[test]
fn a_feature_inside_a_function_is_reported() {
    let planted = [
        "fn f() -> [u8; 4] {\n#[cfg(feature = \"ssl\")]\nlet x = 1; }",
        "impl S { fn f(&self) { match x {\n#[cfg(all(unix, feature = \"ssl\"))]\n_ => {} } } }",
        "fn f() { if a {} else {\nif cfg!(feature = \"ssl\") {} } }",
    ];
    for text in planted {
        let found = findings_in("src/reactor/mod.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("src/reactor/mod.rs:2: a feature inside a function"), "{found:?}");
    }
}

#[test]
fn allowed_code_is_not_reported() {
    let allowed = [
        ("src/bin/tool/main.rs", "use crate::reactor; use sockeye::Sender;"),
        (
            "src/protocol/frame.rs",
            "// std::io\n/* mio /* nested */ Instant::now() */ /// [`crate::Sender`]\n",
        ),
        (
            "src/protocol/frame.rs",
            "const A: &str = \"std::io \\\" mio\"; const B: &str = r#\"std::net \" log\"#;",
        ),
        ("src/protocol/frame.rs", "const C: char = '\"'; const D: u8 = b'\\''; fn f<'a>(log: &'a str) {}"),
        ("src/protocol/frame.rs", "use std::time::{Duration, Instant}; use crate::message::Message;"),
        ("src/protocol/frame.rs", "#[cfg(test)]\nmod tests { use std::io; fn f() { Instant::now(); } }"),
        ("src/protocol/header_tests.rs", "use std::io;"),
        ("src/reactor/timers/tests/model.rs", "use crate::blocking;"),
        (
            "src/reactor/mod.rs",
            "use std::net; use crate::{Sender, protocol, reactor::timers}; use super::socket;",
        ),
        ("src/reactor/mod.rs", "#[cfg(feature = \"ssl\")]\nmod tls;\n#[cfg(feature = \"ssl\")]\nfn f() {}"),
        ("src/reactor/mod.rs", "struct S { f: fn(u8) -> u8,\n#[cfg(feature = \"ssl\")]\ntls: Tls }"),
        ("src/reactor/mod.rs", "fn f() { #[cfg(unix)] g(); }"),
    ];
    for (path, text) in allowed {
        assert_eq!(findings_in(path, text), [] as [String; 0], "{text}");
    }
}
