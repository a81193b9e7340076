//! `sockeye listen`.

mod clients;

use std::rc::Rc;
use std::sync::Arc;

use sockeye::{
    Builder, CloseCode, Error, Factory, Frame, Handler, Handshake, Message, OpCode, Request, Response,
    Result, Sender, WebSocket, secrets_match,
};

use self::clients::Clients;
use crate::client::{open_console, starter};
use crate::event::{Event, Opening};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::options::ListenOptions;
use crate::output::Output;
use crate::settings;
use crate::tls;

pub(crate) fn run(options: &Rc<ListenOptions>) -> std::result::Result<Exit, Failure> {
    settings::start_log(options.output.verbose);
    let (console, printer) = open_console(&options.input, &options.history, true);
    let is_interactive = console.is_some();
    let output = Output::new(&options.output, &options.input, printer);
    let clients = Arc::new(Clients::new(output.clone(), is_interactive));
    let socket = bind(options, &output, &clients)?;
    clients.listening(socket.broadcaster());
    let closer = Arc::clone(&clients);
    interrupt::on_first(move || closer.shutdown())?;
    let scheme = if options.tls.credentials.cert.is_some() { "wss" } else { "ws" };
    let address = socket.local_addr().map_err(|err| Failure::failed(err.to_string()))?;
    if output.event(None, &Event::Listening { url: &format!("{scheme}://{address}/") }).is_err() {
        return Ok(Exit::Success);
    }
    starter(console, &options.input, &output, clients.clone())();
    socket.run_until_shutdown()?;
    output.finish();
    match clients.take_failure() {
        Some(failure) => Err(failure),
        None if interrupt::has_happened() => Ok(Exit::Interrupted),
        None => Ok(Exit::Success),
    }
}

fn bind(
    options: &Rc<ListenOptions>,
    output: &Output,
    clients: &Arc<Clients>,
) -> std::result::Result<WebSocket<Acceptor>, Failure> {
    let mut settings = settings::settings(&options.timing, options.compression.parameters());
    settings.ping_interval = Some(settings::keepalive(&options.timing));
    if options.oneshot {
        settings.max_connections = 1;
    }
    let acceptor = Acceptor {
        options: Rc::clone(options),
        output: output.clone(),
        clients: Arc::clone(clients),
        count: 0,
    };
    let mut builder = Builder::new();
    let mut socket = builder.with_settings(settings).build(acceptor)?;
    socket = socket.with_subprotocols(options.admission.subprotocol.iter().cloned())?;
    if !options.admission.origin.is_empty() {
        socket = socket.with_origins(options.admission.origin.iter().cloned())?;
    }
    if let Some(tls) = tls::server(&options.tls.credentials, options.tls.cacert.as_deref())? {
        socket = socket.with_server_tls(tls);
    }
    // The error of an address that is taken is no error of a server that cannot be reached.
    socket.bind(options.address.as_str()).map_err(|err| Failure::failed(err.to_string()))
}

struct Acceptor {
    options: Rc<ListenOptions>,
    output: Output,
    clients: Arc<Clients>,
    /// The number of the last client.
    count: u32,
}

impl Factory for Acceptor {
    type Handler = Client;

    fn connection_made(&mut self, out: Sender) -> Client {
        self.count += 1;
        Client {
            out,
            number: self.count,
            options: Rc::clone(&self.options),
            output: self.output.clone(),
            clients: Arc::clone(&self.clients),
        }
    }
}

struct Client {
    out: Sender,
    number: u32,
    options: Rc<ListenOptions>,
    output: Output,
    clients: Arc<Clients>,
}

impl Client {
    /// Prints an event. If nobody reads the output, the server ends.
    fn print(&self, event: &Event<'_>) {
        if self.output.event(Some(self.number), event).is_err() {
            self.clients.shutdown();
        }
    }

    fn is_authorized(&self, request: &Request) -> bool {
        let admission = &self.options.admission;
        if let Some(expected) = &admission.basic_auth {
            let given = request.basic_credentials().map(|(user, password)| format!("{user}:{password}"));
            return given.is_some_and(|given| secrets_match(given, expected));
        }
        let Some(expected) = &admission.bearer else { return true };
        request.bearer_token().is_some_and(|given| secrets_match(given, expected))
    }

    fn unauthorized(&self) -> Result<Response> {
        let scheme =
            if self.options.admission.basic_auth.is_some() { "Basic realm=\"sockeye\"" } else { "Bearer" };
        let mut response = Response::new(401, "Unauthorized", b"credentials are missing or wrong\n".to_vec());
        response.set_header("WWW-Authenticate", scheme)?;
        Ok(response)
    }
}

impl Handler for Client {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        if !self.is_authorized(request) {
            return self.unauthorized();
        }
        let mut response = Response::from_request(request)?;
        for header in &self.options.admission.header {
            response.add_header(&header.name, &header.value)?;
        }
        Ok(response)
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let peer = shake.peer_addr.map_or_else(|| "a client".to_owned(), |address| address.to_string());
        let opening = Opening {
            peer: &peer,
            request: &shake.request,
            response: &shake.response,
            tls: shake.tls_version(),
        };
        for text in &self.options.execute {
            self.out.send(text.as_str())?;
        }
        // From now on, the input concerns this client. What is printed says so.
        self.clients.add(self.number, &peer, self.out.clone());
        self.print(&Event::Open(opening));
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.print(&Event::Message(&message));
        if self.options.echo { self.out.send(message) } else { Ok(()) }
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Ping => self.print(&Event::Ping(frame.payload())),
            OpCode::Pong => {
                self.print(&Event::Pong(frame.payload(), self.clients.returned(self.number, &frame)));
            }
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Ping {
            self.clients.pinged(self.number, &frame);
        }
        Ok(Some(frame))
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.clients.remove(self.number);
        match code {
            CloseCode::Abnormal => self.print(&Event::Lost),
            code => self.print(&Event::Close(code, reason)),
        }
        if self.options.oneshot {
            self.clients.shutdown();
        }
    }

    fn on_error(&mut self, err: Error) {
        let exit = Exit::of(&err, true);
        self.print(&Event::Error { text: &err.to_string(), exit });
    }
}
