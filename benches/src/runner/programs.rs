//! Builds the servers and load generators separately, so that cargo does not unify their features.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::{Server, Task};
use crate::Result;

/// A program, with its first arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// The path of the program.
    pub path: PathBuf,
    /// The arguments that precede all others.
    pub first: Vec<String>,
}

/// The programs that have been built, and the reasons why others could not be built.
#[derive(Debug)]
pub struct Programs {
    /// The folder of this package.
    root: PathBuf,
    /// The target folder of Cargo.
    target: PathBuf,
    /// The folder of the finished programs. Each set of features has a separate name.
    folder: PathBuf,
    built: HashMap<String, std::result::Result<Program, String>>,
}

impl Programs {
    /// Prepares to build in the folder of this package.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder for programs cannot be created.
    pub fn new(root: &Path) -> Result<Self> {
        // The runner is in `TARGET/release`, or in the folder of another profile.
        let runner = std::env::current_exe()?;
        let target = runner.ancestors().nth(2).ok_or("the runner is not in a target folder")?.to_owned();
        let folder = target.join("release/programs");
        fs::create_dir_all(&folder)?;
        Ok(Self { root: root.to_owned(), target, folder, built: HashMap::new() })
    }

    /// Returns the folder of the programs, and of other files of a run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the program of a server for a task. Builds it if necessary.
    ///
    /// # Errors
    ///
    /// Returns the first error of the compiler if the program cannot be built.
    pub fn server(&mut self, server: &Server, task: Task) -> std::result::Result<Program, String> {
        if server.package == "node" {
            return self.once("node", Self::install_node);
        }
        let name = format!("peer-{}", server.package);
        self.cargo(&name, &name, server.feature(task))
    }

    /// Returns a program of a package of this workspace. Builds it if necessary.
    ///
    /// # Errors
    ///
    /// Returns the first error of the compiler if the program cannot be built.
    pub fn cargo(
        &mut self,
        package: &str,
        binary: &str,
        feature: Option<&str>,
    ) -> std::result::Result<Program, String> {
        let key = feature.map_or_else(|| binary.to_owned(), |feature| format!("{binary}-{feature}"));
        self.once(&key, |programs| programs.build(package, binary, feature, "release", &key))
    }

    /// Returns a program whose instructions are counted, without another server to compare it with. Builds it if necessary.
    ///
    /// # Errors
    ///
    /// Returns the first error of the compiler if the program cannot be built.
    pub fn counted(&mut self, binary: &str) -> std::result::Result<Program, String> {
        let key = format!("counted-{binary}");
        self.once(&key, |programs| programs.build("sockeye-inprocess", binary, None, "counts", &key))
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

    fn build(
        &self,
        package: &str,
        binary: &str,
        feature: Option<&str>,
        profile: &str,
        key: &str,
    ) -> Result<Program> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--locked", "--quiet", "--profile", profile]);
        cargo.args(["--package", package, "--bin", binary]);
        if let Some(feature) = feature {
            cargo.args(["--features", feature]);
        }
        finish(cargo.current_dir(&self.root))?;
        let path = self.folder.join(key);
        // An existing file is replaced and not overwritten, because another run may be measuring it.
        let fresh = path.with_extension("new");
        fs::copy(self.target.join(profile).join(binary), &fresh)?;
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

/// Runs a command and waits for it. If it fails, the error is the first line of its output that mentions an error.
fn finish(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    // Cargo first reports that a build script failed, and then the reason.
    let mut lines = text.lines().filter(|line| !line.contains("custom build command"));
    let reason = lines.find(|line| line.to_lowercase().contains("error"));
    Err(reason.or(text.lines().last()).unwrap_or("the command failed without a message").to_owned().into())
}
