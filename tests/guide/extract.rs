//! Extracts the complete programs of the guide from the pages in `docs`, so that `programs` can run them.
//!
//! A program is the Rust listing after the comment `<!-- program: NAME -->`, or `<!-- program: NAME, feature: NAME -->` if it
//! needs a feature. Only its address is replaced, because a test must not use a fixed port.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// The address in the programs. It can be part of a URL.
const ADDRESS: &str = "127.0.0.1:3012";

struct Program {
    name: String,
    feature: Option<String>,
    code: String,
}

#[expect(clippy::print_stdout, reason = "cargo reads what a build script prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let docs = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../docs");
    println!("cargo::rerun-if-changed={}", docs.display());
    let mut programs = Vec::new();
    read_folder(&docs, &mut programs)?;
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    fs::write(Path::new(&env::var("OUT_DIR")?).join("programs.rs"), source(&programs)?)?;
    Ok(())
}

fn read_folder(folder: &Path, programs: &mut Vec<Program>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, programs)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let page = fs::read_to_string(&path)?;
            for part in page.split("\n<!-- program: ").skip(1) {
                programs.push(program(part).ok_or_else(|| format!("{}: {part}", path.display()))?);
            }
        }
    }
    Ok(())
}

/// Reads a program from the part of a page that begins with its name.
fn program(part: &str) -> Option<Program> {
    let (attributes, rest) = part.split_once(" -->\n")?;
    let (name, feature) = match attributes.split_once(", feature: ") {
        Some((name, feature)) => (name, Some(feature.to_owned())),
        None => (attributes, None),
    };
    let listing = rest.trim_start().strip_prefix("```rust")?;
    let (_, listing) = listing.split_once('\n')?;
    let (code, _) = listing.split_once("\n```")?;
    Some(Program { name: name.to_owned(), feature, code: with_any_address(code)? })
}

/// Replaces each text that contains the address by a call of a function.
fn with_any_address(code: &str) -> Option<String> {
    let mut parts = code.split(ADDRESS);
    let mut replaced = parts.next()?.to_owned();
    for part in parts {
        let start = replaced.rfind('"')?;
        let before = replaced.split_off(start + 1);
        replaced.pop();
        let (after, rest) = part.split_once('"')?;
        write!(replaced, "crate::at({before:?}, {after:?}).as_str(){rest}").ok()?;
    }
    Some(replaced)
}

/// The source of a module for each program, and of a table of all of them.
fn source(programs: &[Program]) -> Result<String, std::fmt::Error> {
    let mut source = String::new();
    for Program { name, feature, code } in programs {
        write_condition(&mut source, feature.as_deref())?;
        writeln!(source, "mod {name} {{\n{code}\n")?;
        writeln!(source, "pub(super) fn run() -> crate::Outcome {{ Ok(main()?) }}\n}}\n")?;
    }
    writeln!(source, "const PROGRAMS: &[Program] = &[")?;
    for Program { name, feature, .. } in programs {
        write_condition(&mut source, feature.as_deref())?;
        writeln!(source, "({name:?}, {name}::run),")?;
    }
    writeln!(source, "];")?;
    Ok(source)
}

fn write_condition(source: &mut String, feature: Option<&str>) -> std::fmt::Result {
    match feature {
        Some(feature) => writeln!(source, "#[cfg(feature = {feature:?})]"),
        None => Ok(()),
    }
}
