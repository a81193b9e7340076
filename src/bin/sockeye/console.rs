//! The terminal: edits lines, and prints above the line that is being edited.
//!
//! The editor runs on the thread that reads the input. While it edits, the terminal is in raw mode, and only the editor may write to it;
//! it accepts text from another thread. A printing thread passes everything on in order, so that neither the event loop nor the
//! editor waits for the other.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, ExternalPrinter, Helper};

use crate::commands;

mod mode;

const PROMPT: &str = "> ";
/// The number of lines in the history.
const MAX_HISTORY: usize = 1000;
/// The event loop pauses while more bytes than this are not printed.
const MAX_PENDING: usize = 1 << 20;
/// Between two lines, text waits this long for the editor. Longer pauses happen while a line cannot be sent.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long the end of the program waits for the editor.
const FINISH: Duration = Duration::from_secs(1);
/// Moves the cursor up and down again. The editor confirms it like text, and nothing changes on the screen.
const NOTHING: &str = "\x1b[A\n";

/// A line of the user.
pub(crate) enum Line {
    Text(String),
    /// Ctrl-D.
    End,
    Interrupt,
    Failed(String),
}

/// The editor.
pub(crate) struct Console {
    editor: Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
    screen: Arc<Screen>,
}

/// What the event loop prints with.
#[derive(Clone)]
pub(crate) struct Printer {
    screen: Arc<Screen>,
}

/// What the threads share.
struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    pending: VecDeque<String>,
    /// The sum of the lengths of `pending`.
    bytes: usize,
    phase: Phase,
    /// Whether the program is about to end, so that the printing thread ends after what is pending.
    is_finishing: bool,
    /// Whether the printing thread has ended.
    is_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The editor does not read. It has not begun, or the last line is being executed.
    Paused,
    /// The prompt is shown.
    Editing,
    /// There is no editor any more.
    Ended,
    /// The editor must not show the prompt again, because the program is about to end.
    Stopping,
}

/// Opens the terminal. The history is read from the file and kept in it.
pub(crate) fn open(history: Option<PathBuf>) -> rustyline::Result<(Console, Printer)> {
    mode::save();
    let config =
        Config::builder().max_history_size(MAX_HISTORY).and_then(|config| config.history_ignore_dups(true));
    let config = config?.history_ignore_space(true).build();
    let mut editor = Editor::with_config(config)?;
    let screen = Arc::new(Screen::new());
    editor.set_helper(Some(Assistant { screen: Arc::clone(&screen) }));
    if let Some(path) = &history {
        // It does not exist before the first line has been typed.
        let _ = editor.load_history(path);
    }
    let printer = editor.create_external_printer()?;
    let printing = Arc::clone(&screen);
    thread::spawn(move || print_pending(&printing, printer));
    Ok((Console { editor, history, screen: Arc::clone(&screen) }, Printer { screen }))
}

/// Restores the mode of the terminal if a line is being edited.
pub(crate) fn restore() {
    mode::restore();
}

impl Console {
    /// Edits a line, which becomes part of the history.
    pub(crate) fn read(&mut self) -> Line {
        let read = self.editor.readline(PROMPT);
        self.screen.enter(Phase::Paused);
        match read {
            Ok(line) => {
                self.remember(&line);
                Line::Text(line)
            }
            Err(ReadlineError::Eof) => Line::End,
            Err(ReadlineError::Interrupted) => Line::Interrupt,
            Err(err) => Line::Failed(err.to_string()),
        }
    }

    fn remember(&mut self, line: &str) {
        let is_new = self.editor.add_history_entry(line).unwrap_or(false);
        let Some(path) = self.history.as_ref().filter(|_| is_new) else { return };
        let folder = path.parent().map(std::fs::create_dir_all);
        // A read-only home is no reason to end the connection.
        if folder.is_none_or(|created| created.is_ok()) {
            let _ = self.editor.append_history(path);
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.screen.enter(Phase::Ended);
    }
}

impl Printer {
    /// Prints text that ends with a line break. Waits while much is pending.
    pub(crate) fn print(&self, text: String) {
        let is_full = |state: &mut State| state.bytes > MAX_PENDING;
        let state = self.screen.changed.wait_while(self.screen.lock(), is_full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.bytes += text.len();
        state.pending.push_back(text);
        self.screen.changed.notify_all();
    }

    /// Waits until everything is printed. The editor accepts nothing while the user searches the history, so this gives up after a second.
    pub(crate) fn finish(&self) {
        let mut state = self.screen.lock();
        state.is_finishing = true;
        self.screen.changed.notify_all();
        // The result does not matter, because the program ends in both cases.
        let _ = self.screen.changed.wait_timeout_while(state, FINISH, |state| !state.is_finished);
    }
}

impl Screen {
    fn new() -> Self {
        let state = State {
            pending: VecDeque::new(),
            bytes: 0,
            phase: Phase::Paused,
            is_finishing: false,
            is_finished: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        let is_final =
            state.phase == Phase::Ended || state.phase == Phase::Stopping && phase == Phase::Editing;
        if state.phase != phase && !is_final {
            state.phase = phase;
            self.changed.notify_all();
        }
    }

    /// Waits for text, and returns all of it. `None` if the program is about to end and everything is printed.
    fn take(&self) -> Option<String> {
        let is_idle = |state: &mut State| state.pending.is_empty() && !state.is_finishing;
        let state = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let is_paused = |state: &mut State| state.phase == Phase::Paused && !state.pending.is_empty();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, is_paused);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let text: String = state.pending.drain(..).collect();
        state.bytes = 0;
        self.changed.notify_all();
        Some(text).filter(|text| !text.is_empty())
    }

    /// Requests that the editor stops. Returns whether it shows the prompt.
    fn stop_editing(&self) -> bool {
        let mut state = self.lock();
        let is_editing = state.phase == Phase::Editing;
        if is_editing {
            state.phase = Phase::Stopping;
        }
        is_editing
    }

    /// Waits until the editor has stopped, or has ended meanwhile.
    fn wait_until_stopped(&self) {
        let is_stopping = |state: &mut State| state.phase == Phase::Stopping;
        drop(self.changed.wait_while(self.lock(), is_stopping));
    }

    /// Called by the editor before it shows the prompt. Once it must stop, this does not return, and the program ends soon.
    fn before_prompt(&self) {
        if self.lock().phase == Phase::Stopping {
            self.enter(Phase::Ended);
            loop {
                thread::park();
            }
        }
    }

    fn is_editing(&self) -> bool {
        self.lock().phase == Phase::Editing
    }
}

/// The printing thread.
fn print_pending(screen: &Screen, mut printer: impl ExternalPrinter) {
    while let Some(text) = screen.take() {
        // This fails if the editor has ended.
        if printer.print(text.clone()).is_err() {
            mode::write(&text);
        }
    }
    // The editor accepts one text while it prints another one. So the second one is accepted when everything before is printed.
    for _ in 0..2 {
        if screen.is_editing() {
            let _ = printer.print(NOTHING.to_owned());
        }
    }
    // The editor removes the prompt to print, and stops before it shows the prompt again.
    if screen.stop_editing() {
        let _ = printer.print(NOTHING.to_owned());
        screen.wait_until_stopped();
    }
    screen.lock().is_finished = true;
    screen.changed.notify_all();
}

/// Completes commands. The editor also asks for a hint and for colors when it shows the prompt: from then on it accepts text.
struct Assistant {
    screen: Arc<Screen>,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let names = commands::NAMES.iter().filter(|name| typed.starts_with('/') && name.starts_with(typed));
        Ok((0, names.map(ToString::to_string).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.screen.enter(Phase::Editing);
        None
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.screen.before_prompt();
        Cow::Borrowed(prompt)
    }
}

impl Validator for Assistant {}
impl Helper for Assistant {}
