//! Compiles uWebSockets and its server with the flags of its makefiles: `-O3`, `-march=native` and link-time
//! optimization. The server uses the library's own epoll loop. The build needs a C compiler, a C++ compiler, zlib, and,
//! for TLS, OpenSSL, with the headers of both libraries.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The crate that contains the source, and a target for which it is a dependency.
const CRATE: &str = "libuwebsockets-sys";
const NOWHERE: &str = "x86_64-unknown-none";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=server.cpp");
    let (out, here) = (PathBuf::from(env::var("OUT_DIR")?), PathBuf::from(env::var("CARGO_MANIFEST_DIR")?));
    let source = source()?;
    let tls = env::var_os("CARGO_FEATURE_TLS").is_some();
    let objects = sockets(&source.join("uSockets/src"), &out, tls)?;
    let server = out.join("server");
    link(&here.join("server.cpp"), &source, &objects, &server, tls)?;
    println!("cargo::rustc-env=SERVER={}", server.display());
    Ok(())
}

/// Asks Cargo for the folder of the source. Cargo downloads the source if necessary.
fn source() -> Result<PathBuf> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", NOWHERE])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let end = format!("/{CRATE}-0.0.10/Cargo.toml");
    let path = text.split('"').find(|part| part.ends_with(&end));
    let path =
        path.ok_or_else(|| format!("source not found: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Path::new(path).with_file_name("uWebSockets"))
}

/// Compiles uSockets, and returns its object files.
fn sockets(source: &Path, out: &Path, tls: bool) -> Result<Vec<PathBuf>> {
    let mut objects = Vec::new();
    for folder in ["", "eventing", "crypto"] {
        for entry in fs::read_dir(source.join(folder))? {
            let file = entry?.path();
            let mut compiler = match file.extension().and_then(|end| end.to_str()) {
                Some("c") => command("CC", "cc", "-std=c11"),
                Some("cpp") if tls && folder == "crypto" => command("CXX", "c++", "-std=c++17"),
                _ => continue,
            };
            let object = out.join(file.with_extension("o").file_name().ok_or("a file without a name")?);
            compiler.arg(security(tls)).arg("-I").arg(source).arg("-c").arg(&file).arg("-o").arg(&object);
            run(&mut compiler)?;
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Compiles and links the server. It includes uWebSockets, which consists of headers only.
fn link(file: &Path, source: &Path, objects: &[PathBuf], server: &Path, tls: bool) -> Result<()> {
    let mut compiler = command("CXX", "c++", "-std=c++20");
    compiler.args(["-march=native", security(tls)]);
    // Without this flag, a dedicated compressor keeps its context even if the client has forbidden this.
    compiler.arg("-DUWS_ALLOW_SHARED_AND_DEDICATED_COMPRESSOR_MIX");
    compiler.arg("-I").arg(source.join("src")).arg("-I").arg(source.join("uSockets/src"));
    compiler.arg(file).args(objects).arg("-lz").args(if tls { &["-lssl", "-lcrypto"][..] } else { &[] });
    run(compiler.arg("-o").arg(server))
}

fn command(variable: &str, otherwise: &str, standard: &str) -> Command {
    println!("cargo::rerun-if-env-changed={variable}");
    let mut command = Command::new(env::var(variable).unwrap_or_else(|_| otherwise.into()));
    command.args(["-O3", "-flto=auto", "-w", standard]);
    command
}

fn security(tls: bool) -> &'static str {
    if tls { "-DLIBUS_USE_OPENSSL" } else { "-DLIBUS_NO_SSL" }
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let reason = text.lines().find(|line| line.contains("error")).or(text.lines().last());
    Err(format!("{program}: {}", reason.unwrap_or("the command failed without a message")).into())
}
