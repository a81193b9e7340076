//! The control commands of other threads that are queued: close, pause, resume, drain, shutdown, and deferred responses.
//!
//! A full queue accepts them all the same, because a program must be able to end a connection or the loop under load. Their
//! number is still bounded: a command whose effect is queued already is not queued again.

use super::{Command, SharedCommand};

const CLOSE: u8 = 1;
const SHUTDOWN: u8 = 2;
/// A pause or its end is queued.
const READING: u8 = 4;
/// The last one that was asked for is a pause.
const PAUSED: u8 = 8;
const DRAIN: u8 = 16;
const ANSWER: u8 = 32;

/// Which control commands are queued for one connection, or for all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QueuedControl(u8);

/// A command that a full queue accepts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Control {
    Close,
    Shutdown,
    Drain,
    Pause,
    Resume,
    Answer,
}

impl Control {
    /// Returns the kind of a command, or `None` for a command that takes a place in the queue.
    pub(super) fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Close(..) => Some(Self::Close),
            Command::Shutdown => Some(Self::Shutdown),
            Command::Drain(_) => Some(Self::Drain),
            Command::Pause => Some(Self::Pause),
            Command::Resume => Some(Self::Resume),
            Command::Shared(command) if matches!(**command, SharedCommand::Answer) => Some(Self::Answer),
            _ => None,
        }
    }

    /// Returns whether the loop executes the command, also one of a connection's sender.
    pub(super) fn is_for_loop(self) -> bool {
        matches!(self, Self::Shutdown | Self::Drain)
    }

    fn bit(self) -> u8 {
        match self {
            Self::Close => CLOSE,
            Self::Shutdown => SHUTDOWN,
            Self::Drain => DRAIN,
            Self::Pause | Self::Resume => READING,
            Self::Answer => ANSWER,
        }
    }
}

impl QueuedControl {
    /// Records that a command is asked for. Returns whether it must be queued.
    pub(super) fn add(&mut self, control: Control) -> bool {
        let before = self.0;
        self.0 = match control {
            Control::Pause => before | READING | PAUSED,
            Control::Resume => (before | READING) & !PAUSED,
            control => before | control.bit(),
        };
        before & control.bit() == 0
    }

    /// Records that a command leaves the queue. Returns the command to execute: of several pauses and resumptions, the last.
    pub(super) fn remove(&mut self, control: Control, command: Command) -> Command {
        let before = self.0;
        self.0 = before & !control.bit();
        match control {
            Control::Pause | Control::Resume if before & PAUSED != 0 => Command::Pause,
            Control::Pause | Control::Resume => Command::Resume,
            _ => command,
        }
    }

    /// Returns one bit for each command.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;

    #[test]
    fn w9_a_control_command_is_queued_once() {
        let mut queued = QueuedControl::default();
        for control in [Control::Close, Control::Shutdown, Control::Drain, Control::Pause] {
            assert!(queued.add(control) && !queued.add(control), "{control:?}");
        }
        let close = Command::Close(CloseCode::Away, "".into());
        assert!(matches!(queued.remove(Control::Close, close), Command::Close(CloseCode::Away, _)));
        assert!(queued.add(Control::Close));
        assert!(!queued.add(Control::Shutdown), "the others are queued still");
    }

    #[test]
    fn w9_the_last_of_several_pauses_and_resumptions_counts() {
        let mut queued = QueuedControl::default();
        assert!(queued.add(Control::Pause));
        assert!(!queued.add(Control::Resume));
        assert!(matches!(queued.remove(Control::Pause, Command::Pause), Command::Resume));
        assert!(queued.add(Control::Resume));
        assert!(!queued.add(Control::Pause));
        assert!(matches!(queued.remove(Control::Resume, Command::Resume), Command::Pause));
    }
}
