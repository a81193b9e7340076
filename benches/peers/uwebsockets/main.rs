//! Replaces itself with the server that `build.rs` has compiled. The process stays the same, so that it can be
//! measured.

use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> std::io::Result<()> {
    Err(Command::new(env!("SERVER")).args(std::env::args_os().skip(1)).exec())
}
