//! Builds the servers and load generators separately, so that cargo does not unify their features.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::{Server, Task};
use crate::Result;

/// What to start, with the arguments that come first.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its first arguments.
    pub first: Vec<String>,
}

/// What has been built, and what could not be, with the reason.
#[derive(Debug)]
pub struct Programs {
    /// The folder of this package.
    root: PathBuf,
    /// Where finished programs are kept, each set of features under a name of its own.
    folder: PathBuf,
    built: HashMap<String, std::result::Result<Program, String>>,
}

impl Programs {
    /// Prepares to build in the folder of this package.
    ///
    /// # Errors
    ///
    /// If the folder for programs cannot be made.
    pub fn new(root: &Path) -> Result<Self> {
        // The runner is itself in `TARGET/release`.
        let release = std::env::current_exe()?.parent().ok_or("the runner is in no folder")?.to_owned();
        let folder = release.join("programs");
        fs::create_dir_all(&folder)?;
        Ok(Self { root: root.to_owned(), folder, built: HashMap::new() })
    }

    /// Where programs, and other files of a run, are kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a server's program for a task, built if that has not been done; or why it cannot be had.
    ///
    /// # Errors
    ///
    /// The first error of the compiler.
    pub fn server(&mut self, server: &Server, task: Task) -> std::result::Result<Program, String> {
        if server.package == "node" {
            return self.once("node", Self::install_node);
        }
        let feature = task.feature().filter(|feature| server.features.contains(feature));
        self.cargo(&format!("peer-{}", server.package), &format!("peer-{}", server.package), feature)
    }

    /// Returns a program of a package of this workspace.
    ///
    /// # Errors
    ///
    /// The first error of the compiler.
    pub fn cargo(
        &mut self,
        package: &str,
        binary: &str,
        feature: Option<&str>,
    ) -> std::result::Result<Program, String> {
        let key = feature.map_or_else(|| binary.to_owned(), |feature| format!("{binary}-{feature}"));
        self.once(&key, |programs| programs.build(package, binary, feature, &key))
    }

    fn once(
        &mut self,
        key: &str,
        make: impl FnOnce(&Self) -> Result<Program>,
    ) -> std::result::Result<Program, String> {
        if let Some(known) = self.built.get(key) {
            return known.clone();
        }
        eprintln!("building {key}");
        let made = make(self).map_err(|error| error.to_string());
        self.built.insert(key.to_owned(), made.clone());
        made
    }

    fn build(&self, package: &str, binary: &str, feature: Option<&str>, key: &str) -> Result<Program> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked", "--quiet", "--package", package, "--bin", binary]);
        if let Some(feature) = feature {
            cargo.args(["--features", feature]);
        }
        finish(cargo.current_dir(&self.root))?;
        let release = self.folder.parent().ok_or("the programs are in no folder")?;
        let path = self.folder.join(key);
        // Not into the file that is there: another run may be measuring it.
        let fresh = path.with_extension("new");
        fs::copy(release.join(binary), &fresh)?;
        fs::rename(&fresh, &path)?;
        Ok(Program { path, first: Vec::new() })
    }

    fn install_node(&self) -> Result<Program> {
        let folder = self.root.join("node");
        if !folder.join("node_modules/ws").exists() {
            finish(
                Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder),
            )?;
        }
        let script = folder.join("server.js").display().to_string();
        Ok(Program { path: "node".into(), first: vec![script] })
    }
}

/// Runs a command to its end; if it fails, the first line that mentions an error is the reason.
fn finish(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    // Cargo first reports that a build script failed, and then the reason.
    let mut lines = text.lines().filter(|line| !line.contains("custom build command"));
    let reason = lines.find(|line| line.to_lowercase().contains("error"));
    Err(reason.or(text.lines().last()).unwrap_or("it failed without a word").to_owned().into())
}
