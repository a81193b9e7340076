//! The machine and the versions of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::servers::SERVERS;

/// Returns the output of a command, or a question mark if it fails.
pub(super) fn output_of(command: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(command).args(arguments).current_dir(folder).output();
    let text = output.ok().filter(|output| output.status.success());
    text.map_or("?".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns today's date.
#[must_use]
pub fn date() -> String {
    output_of("date", &["-u", "+%F"], Path::new("."))
}

/// Returns the commit of the crate, with a plus sign if its sources differ from it.
#[must_use]
pub fn commit(root: &Path) -> String {
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"], root);
    let changed = output_of("git", &["status", "--porcelain", "--", "../src", "../Cargo.toml"], root);
    if changed.is_empty() { commit } else { commit + "+" }
}

/// Returns the processor, the number of cores, and the kernel.
#[must_use]
pub fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = information.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = output_of("uname", &["-sr"], Path::new("."));
    let kernel = kernel.split('-').next().unwrap_or_default();
    format!("{}, {cores} cores, {kernel}", model.map_or("?", |(_, model)| model))
}

/// Returns the versions of the libraries in the lock file, and of the compilers.
#[must_use]
pub fn versions(root: &Path) -> BTreeMap<String, String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let mut versions: BTreeMap<_, _> =
        SERVERS.iter().map(|one| (one.library.to_owned(), locked(&lock, one.library))).collect();
    versions.insert("tokio".into(), locked(&lock, "tokio"));
    let crates = ["libuwebsockets-sys", "simdutf", "libdeflate-sys"].map(|name| locked(&lock, name));
    versions.remove("libuwebsockets-sys");
    versions.insert("uWebSockets".into(), uwebsockets(&crates));
    let node = fs::read_to_string(root.join("node/package.json")).unwrap_or_default();
    let ws = node.split_once("\"ws\": \"").and_then(|(_, rest)| rest.split('"').next());
    versions.insert("Node ws".into(), ws.unwrap_or("?").to_owned());
    versions
        .insert("Node".into(), output_of("node", &["--version"], root).trim_start_matches('v').to_owned());
    versions.insert("OpenSSL".into(), word(&output_of("openssl", &["version"], root), 1));
    versions.insert("C++ compiler".into(), output_of("c++", &["-dumpfullversion"], root));
    versions.insert("rustc".into(), word(&output_of("rustc", &["--version"], root), 1));
    versions
}

/// Identifies the builds of uWebSockets by the date of the source, the flags, and the options.
fn uwebsockets([source, simdutf, libdeflate]: &[String; 3]) -> String {
    format!(
        "20 of February 2024 (crate libuwebsockets-sys {source}; -O3 -flto -march=native -mno-avx512f; with options: simdutf of crate simdutf {simdutf}, \
         libdeflate of crate libdeflate-sys {libdeflate})"
    )
}

fn word(text: &str, number: usize) -> String {
    text.split(' ').nth(number).unwrap_or("?").to_owned()
}

/// Returns the version of a package in a lock file, or the highest version if there are several.
fn locked(lock: &str, name: &str) -> String {
    let name = format!("name = \"{name}\"");
    let versions = lock.split("[[package]]").filter(|package| package.lines().any(|line| line == name));
    let version =
        versions.filter_map(|package| package.split_once("version = \"")?.1.split('"').next()).last();
    version.unwrap_or("?").to_owned()
}
