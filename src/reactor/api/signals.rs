//! Signals of the operating system, such as that of a service manager which stops the program. Unix only.
//!
//! | signal | effect |
//! |---|---|
//! | `SIGTERM`, `SIGINT` (Ctrl-C) | the first one [drains](crate::Sender::drain) the loop, a second one [shuts it down](crate::Sender::shutdown), and a third one ends the process |
//! | `SIGHUP` | calls a closure of the program, or replaces certificates. Without either, it ends the process |
//!
//! The signals are received by a thread, so handlers of connections are not interrupted.
//!
//! # Examples
//!
//! ```no_run
//! use sockeye::signals::Signals;
//! use sockeye::{Drain, Message, Sender, WebSocket};
//!
//! let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind("0.0.0.0:3012")?;
//! let _signals = Signals::new(&socket.broadcaster(), Drain::new()).start()?;
//! // Returns after a signal, when all connections have been closed.
//! socket.run()?;
//! # sockeye::Result::Ok(())
//! ```

use std::ffi::c_int;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use log::error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Pending};
use signal_hook::{flag, low_level};

use super::drain::Drain;
use super::sender::Sender;
use crate::error::{Error, Result};
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::ServerTls;

/// What happens when the program receives a signal.
///
/// See the [example](self#examples) of this module.
pub struct Signals {
    sender: Sender,
    drain: Drain,
    on_hangup: Option<Box<dyn FnMut() + Send>>,
}

impl Signals {
    /// Drains the loop of a sender after `SIGTERM` or `SIGINT`.
    ///
    /// If the loop drains already when the first signal arrives, that signal shuts it down.
    ///
    /// See the [example](self#examples) of this module.
    pub fn new(sender: &Sender, drain: Drain) -> Self {
        Self { sender: sender.clone(), drain, on_hangup: None }
    }

    /// Calls a closure for each `SIGHUP`, on the thread that receives signals.
    ///
    /// While the closure runs, other signals wait. A panic of the closure is caught and logged. A second call of this method replaces
    /// the closure.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::signals::Signals;
    /// use sockeye::{Drain, Sender};
    ///
    /// fn handle_signals(all: &Sender) -> sockeye::Result<sockeye::signals::Guard> {
    ///     let news = all.clone();
    ///     let signals = Signals::new(all, Drain::new());
    ///     signals.on_hangup(move || drop(news.broadcast("The configuration is being read again."))).start()
    /// }
    /// ```
    #[must_use]
    pub fn on_hangup(mut self, call: impl FnMut() + Send + 'static) -> Self {
        self.on_hangup = Some(Box::new(call));
        self
    }

    /// Replaces the certificates of a server after each `SIGHUP` with those that a closure loads.
    ///
    /// Open connections are not affected. If the closure returns an error, the error is logged, and the current certificates
    /// remain in use. This uses [`on_hangup`](Self::on_hangup).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::signals::Signals;
    /// use sockeye::{Drain, Message, Sender, ServerTls, WebSocket};
    ///
    /// let load = || ServerTls::from_pem_files("chain.pem", "key.pem");
    /// let tls = load()?;
    /// let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.with_server_tls(tls.clone());
    /// let _signals = Signals::new(&socket.broadcaster(), Drain::new()).reload(&tls, load).start()?;
    /// socket.listen("0.0.0.0:443")?;
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[must_use]
    pub fn reload(
        self,
        tls: &ServerTls,
        mut load: impl FnMut() -> Result<ServerTls> + Send + 'static,
    ) -> Self {
        let tls = tls.clone();
        self.on_hangup(move || match load() {
            Ok(new) => {
                tls.replace(new);
                log::info!("the certificates have been replaced");
            }
            Err(err) => error!("the certificates are not replaced: {err}"),
        })
    }

    /// Begins to handle signals, until the returned value is dropped.
    ///
    /// Several loops can handle signals at the same time: each of them drains.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the code or the reason of the drain must not be sent.
    /// - `Io` if the system does not allow the program to handle the signals, or to start a thread.
    ///
    /// See the [example](self#examples) of this module.
    pub fn start(self) -> Result<Guard> {
        self.drain.check()?;
        let fail = |err| Error::io("cannot handle signals", err);
        let mut handled = vec![SIGTERM, SIGINT];
        let mut defaults = vec![END.suspend().map_err(fail)?];
        if self.on_hangup.is_some() {
            handled.push(SIGHUP);
            defaults.push(HANGUP.suspend().map_err(fail)?);
        }
        let pending = Pending::new(handled).map_err(fail)?;
        let handle = pending.handle();
        let thread = thread::Builder::new().name("sockeye-signals".to_owned());
        let thread = thread.spawn(move || Receiver::new(self).run(pending)).map_err(fail)?;
        Ok(Guard { handle, thread: Some(thread), defaults })
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("drain", &self.drain).finish_non_exhaustive()
    }
}

/// Handles signals until it is dropped.
///
/// Keep it until [`WebSocket::run`](crate::WebSocket::run) has returned. Dropping it ends the thread that receives the signals. They
/// then have their default effect, and end the process.
///
/// See the [example](self#examples) of this module.
#[must_use = "signals are handled until this value is dropped"]
#[derive(Debug)]
pub struct Guard {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    defaults: Vec<Suspended>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // From here on, a signal ends the process. No signal is thus without effect.
        self.defaults.clear();
        self.handle.close();
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            // The thread catches panics of the closure.
            let _ = thread.join();
        }
    }
}

/// What the next signal that ends the program does.
#[derive(Debug, Clone, Copy)]
enum Next {
    Drain,
    ShutDown,
    EndProcess,
}

/// Receives signals on a thread.
struct Receiver {
    signals: Signals,
    next: Next,
}

impl Receiver {
    fn new(signals: Signals) -> Self {
        Self { signals, next: Next::Drain }
    }

    fn run(mut self, mut pending: Pending) {
        for signal in pending.forever() {
            match signal {
                SIGHUP => self.hang_up(),
                _ => self.end(signal),
            }
        }
    }

    fn hang_up(&mut self) {
        let Some(call) = &mut self.signals.on_hangup else { return };
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            error!("the closure for SIGHUP panicked");
        }
    }

    /// Ends the loop. A loop that has ended already returns an error, which changes nothing.
    fn end(&mut self, signal: c_int) {
        let Signals { sender, drain, .. } = &self.signals;
        let is_draining = sender.is_draining();
        let _ = match mem::replace(&mut self.next, Next::EndProcess) {
            Next::Drain if !is_draining => {
                self.next = Next::ShutDown;
                sender.drain(drain.clone())
            }
            Next::Drain | Next::ShutDown => sender.shutdown(),
            Next::EndProcess => low_level::emulate_default_handler(signal).map_err(Error::from),
        };
    }
}

/// The default effect of signals, which returns when nothing handles them any more. Otherwise they would have no effect from then
/// on: the crate `signal-hook` cannot remove its handler from the system.
struct Defaults {
    signals: &'static [c_int],
    state: Mutex<State>,
}

struct State {
    /// Shared with the handler of the system. `None` before the first use.
    is_in_force: Option<Arc<AtomicBool>>,
    /// How many guards handle the signals.
    guards: usize,
}

static END: Defaults = Defaults::new(&[SIGTERM, SIGINT]);
static HANGUP: Defaults = Defaults::new(&[SIGHUP]);

/// Suspends the default effect of signals until it is dropped.
#[derive(Debug)]
struct Suspended(&'static Defaults);

impl Defaults {
    const fn new(signals: &'static [c_int]) -> Self {
        Self { signals, state: Mutex::new(State { is_in_force: None, guards: 0 }) }
    }

    fn suspend(&'static self) -> io::Result<Suspended> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_in_force = match &state.is_in_force {
            Some(is_in_force) => is_in_force,
            None => state.is_in_force.insert(self.register()?),
        };
        is_in_force.store(false, Ordering::SeqCst);
        state.guards += 1;
        Ok(Suspended(self))
    }

    fn register(&self) -> io::Result<Arc<AtomicBool>> {
        let is_in_force = Arc::new(AtomicBool::new(false));
        for signal in self.signals {
            flag::register_conditional_default(*signal, Arc::clone(&is_in_force))?;
        }
        Ok(is_in_force)
    }
}

impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults").field("signals", &self.signals).finish_non_exhaustive()
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.guards -= 1;
        if let Some(is_in_force) = &state.is_in_force {
            is_in_force.store(state.guards == 0, Ordering::SeqCst);
        }
    }
}
