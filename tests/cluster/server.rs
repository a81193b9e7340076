//! A Redis server for one test.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};

use sockeye_test_support::wait_until;

/// A server on a free port of the loopback interface, and on a Unix socket. It ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    folder: PathBuf,
    /// The last one is the option for the port.
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server with more arguments. Returns `None` if the program is missing.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        Self::listen("--port", arguments)
    }

    /// Starts a server whose port accepts TLS only. Returns `None` if the program is missing, or has no TLS.
    #[cfg_attr(not(feature = "ssl"), allow(dead_code, reason = "only the tests of TLS need it"))]
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    pub(crate) fn start_tls(arguments: &[&str]) -> Option<Self> {
        if !has_tls() {
            eprintln!("SKIPPED: {} has no TLS", program().display());
            return None;
        }
        Self::listen("--tls-port", &[&["--port", "0"], arguments].concat())
    }

    fn listen(option: &str, arguments: &[&str]) -> Option<Self> {
        let arguments = [arguments, &[option]].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut log = String::new();
        // Another process can take the port first.
        for _ in 0..10 {
            let folder = new_folder();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = spawn(port, &folder, &arguments)?;
            let mut server = Self { process, port, folder, arguments: arguments.clone() };
            if server.is_started() {
                return Some(server);
            }
            log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
        }
        panic!("the server does not start: {log}");
    }

    /// Waits until the server answers. Returns `false` if it ends instead.
    fn is_started(&mut self) -> bool {
        let mut has_ended = false;
        wait_until("the start of redis-server", || {
            has_ended = self.process.try_wait().unwrap().is_some();
            has_ended || self.listens()
        });
        !has_ended
    }

    /// Whether both sockets accept connections. The server opens one after the other.
    fn listens(&self) -> bool {
        #[cfg(unix)]
        if std::os::unix::net::UnixStream::connect(self.unix_path()).is_err() {
            return false;
        }
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The folder of the server, which is removed with it.
    #[allow(dead_code, reason = "only `tests/cluster/load` needs it")]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn unix_path(&self) -> PathBuf {
        unix_path(&self.folder)
    }

    /// Ends the process.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the process again, on the same port.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder, &self.arguments).unwrap();
        assert!(self.is_started());
    }

    /// Connects as another client.
    pub(crate) fn client(&self) -> Client {
        Client(BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A client without the code under test.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Executes a command. Returns its reply: the text of a line or string, or the number of an integer or array.
    pub(crate) fn call(&mut self, words: &[&str]) -> String {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(command.as_bytes()).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<usize>().unwrap();
        match kind {
            "$" => {
                let mut text = vec![0; number() + 2];
                self.0.read_exact(&mut text).unwrap();
                String::from_utf8(text).unwrap().trim_end().to_owned()
            }
            "*" => (0..number()).map(|_| self.reply()).collect::<Vec<_>>().join(" "),
            "-" => panic!("{rest}"),
            _ => rest.to_owned(),
        }
    }
}

/// Returns an empty folder.
fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sockeye-redis-{}-{count}", id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn unix_path(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// Whether the program has TLS. If so, it ends because it needs a certificate.
#[cfg_attr(not(feature = "ssl"), allow(dead_code, reason = "only the tests of TLS need it"))]
pub(crate) fn has_tls() -> bool {
    let output = Command::new(program()).args(["--save", "", "--port", "0", "--tls-port", "1"]).output();
    output.is_ok_and(|output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).contains("tls-cert-file")
    })
}

/// The program of the server: a version of Redis or Valkey.
fn program() -> OsString {
    std::env::var_os("SOCKEYE_TEST_REDIS").unwrap_or_else(|| "redis-server".into())
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Option<Child> {
    let program = program();
    let started = Command::new(&program)
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--bind", "127.0.0.1"])
        .arg("--unixsocket")
        .arg(unix_path(folder))
        .arg("--logfile")
        .arg(folder.join("log"))
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match started {
        Ok(process) => Some(process),
        Err(err) if err.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: {} is not installed", program.display());
            fs::remove_dir_all(folder).unwrap();
            None
        }
        Err(err) => panic!("cannot start {}: {err}", program.display()),
    }
}
