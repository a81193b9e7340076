//! Compiles uWebSockets and its server with the flags of its makefiles: `-O3`, `-march=native` and link-time
//! optimization. The server uses the library's own epoll loop. The build needs a C compiler, a C++ compiler, zlib, and,
//! for TLS, OpenSSL, with the headers of both libraries.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The crates that contain the sources, with their versions, and a target for which they are dependencies.
const LIBRARY: &str = "libuwebsockets-sys-0.0.10";
const SIMDUTF: &str = "simdutf-0.7.0";
const LIBDEFLATE: &str = "libdeflate-sys-1.26.1";
const NOWHERE: &str = "x86_64-unknown-none";

/// The sources of libdeflate, without those for formats other than plain deflate.
const DEFLATE: [&str; 5] =
    ["arm/cpu_features.c", "x86/cpu_features.c", "deflate_compress.c", "deflate_decompress.c", "utils.c"];

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=server.cpp");
    let (out, here) = (PathBuf::from(env::var("OUT_DIR")?), PathBuf::from(env::var("CARGO_MANIFEST_DIR")?));
    let source = folder(LIBRARY)?.join("uWebSockets");
    let tls = env::var_os("CARGO_FEATURE_TLS").is_some();
    let options = env::var_os("CARGO_FEATURE_OPTIONS").is_some();
    let mut objects = sockets(&source.join("uSockets/src"), &out, tls)?;
    let mut includes = vec![source.join("src"), source.join("uSockets/src")];
    if options {
        let (simdutf, libdeflate) = (folder(SIMDUTF)?.join("cpp"), folder(LIBDEFLATE)?.join("libdeflate"));
        objects.extend(compile_options(&simdutf, &libdeflate, &out)?);
        // The changed copy comes first.
        includes.insert(0, with_simdutf(&source.join("src"), &out)?);
        includes.extend([simdutf, libdeflate]);
    }
    let server = out.join("server");
    link(&here.join("server.cpp"), &includes, &objects, &server, [tls, options])?;
    println!("cargo::rustc-env=SERVER={}", server.display());
    Ok(())
}

/// Asks Cargo for the folder of a package. Cargo downloads the package if necessary.
fn folder(package: &str) -> Result<PathBuf> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", NOWHERE])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let end = format!("/{package}/Cargo.toml");
    let path = text.split('"').find(|part| part.ends_with(&end));
    let path =
        path.ok_or_else(|| format!("{package} not found: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Path::new(path).with_file_name(""))
}

/// Compiles simdutf and libdeflate, and returns their object files.
fn compile_options(simdutf: &Path, libdeflate: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let object = out.join("simdutf.o");
    let mut compiler = command("CXX", "c++", "-std=c++17");
    run(compiler.arg("-c").arg(simdutf.join("simdutf.cpp")).arg("-o").arg(&object))?;
    let mut objects = vec![object];
    for file in DEFLATE {
        let object = out.join(file.replace('/', "-")).with_extension("o");
        let mut compiler = command("CC", "cc", "-std=c11");
        compiler.arg("-I").arg(libdeflate).arg("-c").arg(libdeflate.join("lib").join(file));
        run(compiler.arg("-o").arg(&object))?;
        objects.push(object);
    }
    Ok(objects)
}

/// Copies the headers, and replaces the check of UTF-8 by a call of simdutf. Newer versions of uWebSockets contain the same call, if
/// `UWS_USE_SIMDUTF` is defined. The version of February 2024 has no such option.
fn with_simdutf(source: &Path, out: &Path) -> Result<PathBuf> {
    const CHECK: &str = "static bool isValidUtf8(unsigned char *s, size_t length)\n{\n";
    let folder = out.join("src");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(source)? {
        let file = entry?.path();
        fs::copy(&file, folder.join(file.file_name().ok_or("a file without a name")?))?;
    }
    let file = folder.join("WebSocketProtocol.h");
    let text = fs::read_to_string(&file)?;
    if text.matches(CHECK).count() != 1 {
        return Err("the check of UTF-8 was not found".into());
    }
    let call = format!("{CHECK}    return simdutf::validate_utf8((const char *) s, length);\n");
    fs::write(&file, format!("#include <simdutf.h>\n{}", text.replace(CHECK, &call)))?;
    Ok(folder)
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
fn link(
    file: &Path,
    includes: &[PathBuf],
    objects: &[PathBuf],
    server: &Path,
    [tls, options]: [bool; 2],
) -> Result<()> {
    let mut compiler = command("CXX", "c++", "-std=c++20");
    // valgrind, which counts the instructions, does not know AVX-512.
    compiler.args(["-march=native", "-mno-avx512f", security(tls)]);
    // Without this flag, a dedicated compressor keeps its context even if the client has forbidden this.
    compiler.arg("-DUWS_ALLOW_SHARED_AND_DEDICATED_COMPRESSOR_MIX");
    if options {
        compiler.arg("-DUWS_USE_LIBDEFLATE");
    }
    for folder in includes {
        compiler.arg("-I").arg(folder);
    }
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
