//! The tool as a process, and servers in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::util::Token;
use sockeye::{
    Builder, CloseCode, Frame, Handler, Handshake, Message, OpCode, Request, Response, Result, Sender,
    ServerTls, Settings,
};

/// A tool that has not ended by then does not work. Nothing depends on the exact time.
const LIMIT: Duration = Duration::from_secs(60);

/// What the tool has printed, and how it has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The JSON objects of the output.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The first JSON object for this kind of event.
    pub(crate) fn event(&self, kind: &str) -> serde_json::Value {
        let found = self.json().into_iter().find(|object| object["event"] == kind);
        found.unwrap_or_else(|| panic!("no event {kind}: {self:?}"))
    }
}

/// A running tool. It is killed when it is dropped.
pub(crate) struct Tool {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
    /// The output that has been read already.
    seen: (Vec<u8>, Vec<u8>),
}

/// Starts the tool with arguments that are separated by `|`, because some contain spaces.
pub(crate) fn start(arguments: &str) -> Tool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(arguments.split('|')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let (stdout, out) = read(child.stdout.take().expect("it is piped"));
    let (stderr, err) = read(child.stderr.take().expect("it is piped"));
    let stdin = child.stdin.take();
    Tool { child, stdin, stdout, stderr, threads: vec![out, err], seen: (Vec::new(), Vec::new()) }
}

/// Runs the tool with this input until it ends.
pub(crate) fn run(arguments: &str, input: impl AsRef<[u8]>) -> Run {
    let mut tool = start(arguments);
    tool.write(input);
    tool.end()
}

/// Passes on the lines of a stream.
fn read(stream: impl Read + Send + 'static) -> (Receiver<Vec<u8>>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match stream.read_until(b'\n', &mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    (receiver, thread)
}

impl Tool {
    pub(crate) fn write(&mut self, input: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        // The tool may end before it has read everything.
        let _ = stdin.write_all(input.as_ref());
    }

    /// Waits for the next line of the standard output.
    pub(crate) fn line(&mut self) -> String {
        let line = self.stdout.recv_timeout(LIMIT).expect("the tool prints a line");
        self.seen.0.extend_from_slice(&line);
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Waits for a line of the standard error that contains this text.
    pub(crate) fn status(&mut self, text: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| {
                panic!("no line with {text} in {:?}", self.seen.1.escape_ascii().to_string())
            });
            self.seen.1.extend_from_slice(&line);
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Closes the pipe of the standard output.
    pub(crate) fn close_output(&mut self) {
        // The thread that reads ends when it cannot pass a line on.
        self.stdout = mpsc::channel().1;
    }

    /// Sends SIGINT, as Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the tool runs");
    }

    /// Closes the input, and waits until the tool ends.
    pub(crate) fn end(mut self) -> Run {
        self.close_input();
        self.wait()
    }

    /// Waits until the tool ends, while its input stays open.
    pub(crate) fn wait(mut self) -> Run {
        let status = self.exit_status();
        for thread in self.threads.drain(..) {
            thread.join().expect("the reader ends");
        }
        let (mut stdout, mut stderr) = std::mem::take(&mut self.seen);
        stdout.extend(self.stdout.try_iter().flatten());
        stderr.extend(self.stderr.try_iter().flatten());
        Run { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// The standard error ends with the tool, so that waiting for it has a limit.
    fn exit_status(&mut self) -> ExitStatus {
        loop {
            match self.stderr.recv_timeout(LIMIT) {
                Ok(line) => self.seen.1.extend_from_slice(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.child.wait().expect("the tool can be waited for");
                }
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the tool does not end: {:?}", self.seen),
            }
        }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It has usually ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server does with a message.
pub(crate) type OnMessage = fn(&Sender, Message) -> Result<()>;

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Receiver<Request>,
    /// What clients have sent, except what the server answers itself.
    pub(crate) frames: Receiver<(OpCode, Vec<u8>)>,
    out: Sender,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) subprotocols: &'static [&'static str],
    pub(crate) tls: Option<ServerTls>,
    pub(crate) on_open: fn(&Sender) -> Result<()>,
    pub(crate) on_message: OnMessage,
    pub(crate) respond: fn(&Request) -> Result<Response>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            subprotocols: &[],
            tls: None,
            on_open: |_| Ok(()),
            on_message: |out, message| out.send(message),
            respond: Response::from_request,
        }
    }
}

/// Starts a server that returns each message.
pub(crate) fn echo() -> Server {
    Setup::default().start()
}

impl Setup {
    pub(crate) fn start(self) -> Server {
        let (started, address) = mpsc::channel();
        let (request, requests) = mpsc::channel();
        let (frame, frames) = mpsc::channel();
        let thread = thread::spawn(move || {
            let factory = |out: Sender| Peer {
                out,
                respond: self.respond,
                on_open: self.on_open,
                on_message: self.on_message,
                requests: request.clone(),
                frames: frame.clone(),
            };
            let settings = Settings { subprotocols: self.subprotocols, ..self.settings };
            let mut socket = Builder::new().with_settings(settings).build(factory).expect("valid settings");
            if let Some(tls) = self.tls {
                socket = socket.with_server_tls(tls);
            }
            let socket = socket.bind("127.0.0.1:0").expect("a free port");
            started
                .send((socket.local_addr().expect("it is bound"), socket.broadcaster()))
                .expect("the test waits");
            socket.run().expect("the loop runs");
        });
        let (address, out) = address.recv_timeout(LIMIT).expect("the server starts");
        Server { address, requests, frames, out, thread: Some(thread) }
    }
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn secure_url(&self) -> String {
        format!("wss://localhost:{}/", self.address.port())
    }

    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(LIMIT).expect("a client connects")
    }

    /// The next frame of a client.
    pub(crate) fn frame(&self) -> (OpCode, Vec<u8>) {
        self.frames.recv_timeout(LIMIT).expect("a client sends a frame")
    }

    /// The next message of a client as text.
    pub(crate) fn text(&self) -> String {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, OpCode::Text);
        String::from_utf8(payload).expect("text is UTF-8")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.out.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Peer {
    out: Sender,
    respond: fn(&Request) -> Result<Response>,
    on_open: fn(&Sender) -> Result<()>,
    on_message: OnMessage,
    requests: mpsc::Sender<Request>,
    frames: mpsc::Sender<(OpCode, Vec<u8>)>,
}

impl Handler for Peer {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        // The test may have what it needs.
        let _ = self.requests.send(request.clone());
        (self.respond)(request)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        (self.on_open)(&self.out)
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        let opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
        let _ = self.frames.send((opcode, message.as_bytes().to_vec()));
        (self.on_message)(&self.out, message)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode().is_control() {
            let _ = self.frames.send((frame.opcode(), frame.payload().to_vec()));
        }
        Ok(Some(frame))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.out.close(CloseCode::Normal)
    }
}

/// Accepts one connection, and passes it to a function on another thread.
pub(crate) fn raw_server(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    address
}

/// A proxy that connects the first client that sends `CONNECT` with these credentials, and answers others with 407. It returns the request.
pub(crate) fn http_proxy(credentials: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let thread = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client connects");
        let mut head = String::new();
        let mut reader = BufReader::new(client.try_clone().expect("a second handle"));
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("the client sends text") > 0, "{head}");
        }
        if !head.contains(&format!("Proxy-Authorization: {credentials}\r\n")) {
            let _ =
                client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
            return head;
        }
        let target = head.split(' ').nth(1).expect("a target").to_owned();
        let server = TcpStream::connect(target).expect("the server listens");
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("the client reads");
        let (mut from_server, mut to_client) =
            (server.try_clone().expect("a second handle"), client.try_clone().expect("a second handle"));
        let back = thread::spawn(move || {
            std::io::copy(&mut from_server, &mut to_client)
                .and_then(|_| to_client.shutdown(std::net::Shutdown::Write))
        });
        let mut to_server = server;
        let _ = std::io::copy(&mut client, &mut to_server)
            .and_then(|_| to_server.shutdown(std::net::Shutdown::Write));
        let _ = back.join();
        head
    });
    (address, thread)
}

/// Performs the server's part of an opening handshake.
pub(crate) fn accept_handshake(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let request = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the client sends a request");
        head.push(byte[0]);
        if let Some(request) = Request::parse(&head).expect("a valid request") {
            break request;
        }
    };
    let accept = request.hashed_key().expect("a valid key");
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).expect("the client reads");
}

/// Reads until the peer disconnects.
pub(crate) fn drain(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

/// A file that is removed at the end of the test.
pub(crate) struct File(pub(crate) std::path::PathBuf);

impl File {
    pub(crate) fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-tool-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("a temporary file");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path of UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
