//! Files of the user.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads a file that the user names.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let path = path.as_ref();
    fs::read(path).map_err(|err| format!("cannot read {}: {err}", path.display()))
}

/// Returns the file that keeps the history: `sockeye/history` in the folder for the state of programs. `None` if there is no such folder.
pub(crate) fn history() -> Option<PathBuf> {
    history_in(|name| env::var_os(name))
}

fn history_in(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("LOCALAPPDATA"))
        .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))?;
    Some(folder.join("sockeye").join("history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_in_the_folder_for_state() {
        let in_environment = |pairs: &'static [(&str, &str)]| {
            history_in(move |name| {
                pairs.iter().find(|(pair, _)| *pair == name).map(|(_, value)| OsString::from(value))
            })
        };
        let home = in_environment(&[("HOME", "/home/me")]);
        assert_eq!(home, Some(PathBuf::from("/home/me/.local/state/sockeye/history")));
        let state = in_environment(&[("HOME", "/home/me"), ("XDG_STATE_HOME", "/state")]);
        assert_eq!(state, Some(PathBuf::from("/state/sockeye/history")));
        // The specification of these variables says that relative paths are ignored.
        assert_eq!(in_environment(&[("XDG_STATE_HOME", "state")]), None);
        assert_eq!(in_environment(&[]), None);
    }
}
