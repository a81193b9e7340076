//! The proxies that tests/proxies/run provides, as processes on free ports of the loopback interface.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};

use sockeye_test_support::wait_until;

/// The folder with the unpacked packages of Debian. Without it, the tests of this module are skipped.
const FOLDER: &str = "SOCKEYE_TEST_PROXIES";

/// The line of the user `user` with the password `secret` in a password file.
const USER: &str = "user:$1$sockeye$rN4RILUno0L2kwvLVYzg9.\n";

/// A proxy that is running. It ends with this value.
pub(crate) struct Program {
    process: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

/// Returns the folder with the programs, or reports that a test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub(crate) fn packages() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: {FOLDER} is not set. tests/proxies/run sets it");
    }
    folder
}

impl Program {
    /// Starts squid, which requires a user and forbids port 1.
    pub(crate) fn squid(packages: &Path) -> Self {
        Self::start("squid", |port, folder| {
            // The helper runs as another user, without access to the cache in the home folder of root.
            fs::copy(packages.join("usr/lib/squid/basic_ncsa_auth"), folder.join("helper")).unwrap();
            fs::write(folder.join("users"), USER).unwrap();
            let configuration = squid_configuration(packages, folder, port);
            fs::write(folder.join("squid.conf"), configuration).unwrap();
            let mut command = Command::new(packages.join("usr/sbin/squid"));
            command.arg("-N").arg("-f").arg(folder.join("squid.conf"));
            command.env("LD_LIBRARY_PATH", libraries(packages));
            command
        })
    }

    /// Starts microsocks, which requires a user if there are arguments for that.
    pub(crate) fn microsocks(packages: &Path, arguments: &[&str]) -> Self {
        Self::start("microsocks", |port, _| {
            let mut command = Command::new(packages.join("usr/bin/microsocks"));
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
            command
        })
    }

    fn start(name: &str, command: impl Fn(u16, &Path) -> Command) -> Self {
        // Another process can take the port first.
        for attempt in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = std::env::temp_dir().join(format!("sockeye-{name}-{}-{port}-{attempt}", id()));
            fs::create_dir_all(&folder).unwrap();
            let mut command = command(port, &folder);
            let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut program = Self { process: process.unwrap(), port, folder };
            if program.is_started() {
                return program;
            }
        }
        panic!("{name} does not start");
    }

    /// Waits until the program listens. Returns `false` if it ends instead.
    fn is_started(&mut self) -> bool {
        let mut has_ended = false;
        wait_until("the start of a proxy", || {
            has_ended = self.process.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        !has_ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn squid_configuration(packages: &Path, folder: &Path, port: u16) -> String {
    let (packages, folder) = (packages.display(), folder.display());
    format!(
        "http_port 127.0.0.1:{port}\n\
         pid_filename none\n\
         access_log none\n\
         cache_log /dev/null\n\
         cache_store_log none\n\
         netdb_filename none\n\
         pinger_enable off\n\
         visible_hostname localhost\n\
         coredump_dir {folder}\n\
         unlinkd_program {packages}/usr/lib/squid/unlinkd\n\
         mime_table {packages}/usr/share/squid/mime.conf\n\
         icon_directory {packages}/usr/share/squid/icons\n\
         error_directory {packages}/usr/share/squid-langpack/en\n\
         auth_param basic program {folder}/helper {folder}/users\n\
         auth_param basic children 1\n\
         acl user proxy_auth REQUIRED\n\
         acl forbidden port 1\n\
         http_access deny forbidden\n\
         http_access allow user\n\
         http_access deny all\n"
    )
}

/// Returns the search path for the libraries that are not installed.
fn libraries(packages: &Path) -> OsString {
    let folders = fs::read_dir(packages.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |folder: &PathBuf| folder.to_string_lossy().ends_with("-linux-gnu");
    std::env::join_paths(folders.filter(is_library)).unwrap()
}
