//! Runs the divan benchmarks and returns their output.

use std::path::Path;
use std::process::Command;

use crate::Result;

/// Runs all benchmarks and returns their output as a section of the page.
///
/// # Errors
///
/// Returns an error if the benchmarks cannot be built or fail.
pub fn run(root: &Path) -> Result<String> {
    let output = Command::new("cargo")
        .args(["bench", "--locked", "--quiet", "--package", "sockeye-inprocess"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(format!("\n## In-process benchmarks\n\n```text\n{}\n```\n", text.trim()))
}
